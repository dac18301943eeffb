//go:build tools

// Package tools pins the Ignition that documents of 3.x are held against.
package tools

import _ "github.com/coreos/ignition/v2/internal"
