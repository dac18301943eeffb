package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
)

// Answer says how an object of a file is.
type answer struct {
	Input string `json:"input"`
	*health.HealthStatus
}

// healthCommand says how objects are by scripts in the form of Argo CD's resource_customizations/<group>/<kind>/health.lua. They run
// as what argocd-cm gives does: without Lua's standard libraries.
func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "health CUSTOMIZATIONS FILE...",
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			answers := []answer{}
			for _, file := range args[1:] {
				status, err := healthOf(args[0], file)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				answers = append(answers, answer{file, status})
			}
			return json.NewEncoder(os.Stdout).Encode(answers)
		},
	}
}

func healthOf(customizations, file string) (*health.HealthStatus, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &object.Object); err != nil {
		return nil, err
	}
	key := lua.GetConfigMapKey(object.GroupVersionKind())
	script, err := os.ReadFile(filepath.Join(customizations, key, "health.lua"))
	if err != nil {
		return nil, err
	}
	overrides := lua.ResourceHealthOverrides{key: v1alpha1.ResourceOverride{HealthLua: string(script)}}
	return health.GetResourceHealth(object, overrides)
}
