//go:build tools

// Package tools pins what reads the workflows of GitHub.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
