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
	// Some of the generated code returns an empty list of errors in the place of none.
	for _, err := range []error{read.UnmarshalJSONStrict(raw), read.Validate()} {
		if err != nil && err.Error() != "" {
			fail(err)
		}
	}
	fmt.Printf("%d panels\n", len(read.Panels))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
