//go:build tools

// Package tools pins the Ignition that documents of 2.x are held against: that of Flatcar, which goes on with the last one of CoreOS.
package tools

import _ "github.com/flatcar/ignition/internal"
