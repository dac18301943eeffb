// Reads a dashboard strictly by the schema that Grafana publishes: unknown fields, wrong types and broken constraints are errors.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	read := dashboard.Dashboard{}
	if err := read.UnmarshalJSONStrict(raw); err != nil {
		fail(err)
	}
	if err := read.Validate(); err != nil {
		fail(err)
	}
	fmt.Printf("%d panels\n", len(read.Panels))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
