// Package layout is what the files of an agent's identity are called, and what
// the one that tells of the others holds.
package layout

import (
	"path/filepath"

	"github.com/nicferry/nicferry/internal/mtls"
)

// The names of the files in an identity's directory.
const (
	Key    = "key.pem"
	Cert   = "cert.pem"
	CA     = "ca.pem"
	Record = "identity.json"
)

// A Content is what the record holds, as JSON.
type Content struct {
	// Node is the node's name.
	Node string `json:"node"`
	// Controllers are addresses of the controller, https://, in the order in which
	// they are tried.
	Controllers []string `json:"controllers"`
}

// Files are those that an agent with its identity in the directory connects with.
func Files(dir string) mtls.Files {
	return mtls.Files{CA: filepath.Join(dir, CA), Cert: filepath.Join(dir, Cert), Key: filepath.Join(dir, Key)}
}
