//go:build tools

// Package tools pins the Helm that the test environment builds from source.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
