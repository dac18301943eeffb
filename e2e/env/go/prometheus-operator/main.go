// Reads a ServiceMonitor or a PrometheusRule strictly by the types of the Prometheus operator: unknown fields and wrong types are errors.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

func main() {
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	var kind struct{ Kind string }
	if err := json.Unmarshal(raw, &kind); err != nil {
		fail(err)
	}
	objects := map[string]any{
		monitoring.ServiceMonitorsKind: &monitoring.ServiceMonitor{},
		monitoring.PrometheusRuleKind:  &monitoring.PrometheusRule{},
	}
	object, known := objects[kind.Kind]
	if !known {
		fail(fmt.Errorf("no object of a kind that is known here: %q", kind.Kind))
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(object); err != nil {
		fail(err)
	}
	if monitor, is := object.(*monitoring.ServiceMonitor); is {
		for _, endpoint := range monitor.Spec.Endpoints {
			if err := endpoint.Validate(); err != nil {
				fail(err)
			}
		}
	}
	fmt.Println(kind.Kind)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
