module cluster-api-provider-remote/e2e/env/go/providers

go 1.26.0

// The version that clusterctl installs by itself.
require github.com/cert-manager/cert-manager v1.21.1
