// Package identity is an agent's own key and certificate, on disk, renewed by
// themselves.
package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/identity/layout"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// Files beside those of package layout, of which the record comes last and goes
// first: without it the others are of a join that was not finished.
const (
	// pendingFile is the key of a join that has not been answered. A token is
	// good for one key.
	pendingFile = "join.key"
	lockFile    = "lock"
)

// ErrNone means that the machine has not joined.
var ErrNone = errors.New("this machine has not joined")

// An Identity is who an agent is to its controller.
type Identity struct {
	dir string
	// Node is the node's name.
	Node string
	// Controllers are addresses of the controller, https://, in the order in which
	// they are tried; at least one.
	Controllers []string
}

// Files are what the agent connects with. They are replaced when the certificate
// is renewed, and must be read at each connection.
func (i *Identity) Files() mtls.Files {
	return layout.Files(i.dir)
}

func (i *Identity) file(name string) string { return filepath.Join(i.dir, name) }

// Load reads the identity in a directory. ErrNone means that there is none; any
// other error says what to mend: a directory or a key that others may read, or
// files that are not whole.
func Load(dir string) (*Identity, error) {
	_, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", ErrNone, dir)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	i := &Identity{dir: dir}
	text, err := os.ReadFile(i.file(layout.Record))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s in %s", ErrNone, layout.Record, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	var r layout.Content
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read identity %s: %w; %s", i.file(layout.Record), err, again)
	}
	if err := checkContent(r); err != nil {
		return nil, fmt.Errorf("read identity %s: %w; %s", i.file(layout.Record), err, again)
	}
	i.Node, i.Controllers = r.Node, r.Controllers
	if err := checkFile(i.file(layout.Key)); err != nil {
		return nil, err
	}
	if _, err := i.certificate(); err != nil {
		return nil, err
	}
	return i, nil
}

// again is what to do where files do not serve.
const again = "join again: nicferry-agent join --force, with the token that nicferry token create prints"

func checkContent(r layout.Content) error {
	if err := nic.CheckName("node", r.Node); err != nil {
		return err
	}
	if len(r.Controllers) == 0 {
		return errors.New("it names no controller")
	}
	for _, address := range r.Controllers {
		if err := checkRemote(address); err != nil {
			return err
		}
	}
	return nil
}

// Complete fills in what the agent's config leaves open: the node, the
// controller's addresses and the files of TLS are the identity's where there is
// one. It returns the identity if the agent connects with it, to be kept, else
// nil. What config and identity say must fit together.
func Complete(c *conf.Agent) (*Identity, error) {
	remote := false
	for _, address := range c.Controllers {
		remote = remote || checkRemote(address) == nil
	}
	if c.TLS != nil || c.Given.Controllers && !remote {
		return nil, nil
	}
	i, err := Load(c.IdentityDir)
	switch {
	case errors.Is(err, ErrNone) && remote:
		return nil, fmt.Errorf("controllers has an https:// address, and there is neither tls: in the config nor an identity: %w; let it join with nicferry-agent join ADDRESS TOKEN", err)
	case errors.Is(err, ErrNone):
		return nil, nil
	case err != nil:
		return nil, err
	case c.Given.Node && c.Node != i.Node:
		return nil, fmt.Errorf("the config says that this is node %s, and the certificate in %s is node %s's; take node out of the config, or let it join as %[1]s", c.Node, c.IdentityDir, i.Node)
	}
	c.Node = i.Node
	if !c.Given.Controllers {
		c.Controllers = i.Controllers
	}
	files := i.Files()
	c.TLS = &conf.TLS{CA: files.CA, Cert: files.Cert, Key: files.Key}
	return i, nil
}
