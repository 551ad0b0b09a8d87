package doctor

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/identity/layout"
	"github.com/nicferry/nicferry/internal/mtls"
)

// An identity is how this machine's agent goes to its controller.
type identity struct {
	node        string
	controllers []string
	// files are those of TLS, as they are called on the machine; zero without.
	files mtls.Files
	// joined: the files are the agent's own, which renews them by itself.
	joined bool
}

// identity is what agent.yaml says, and else what the agent was given when it
// joined; false if this machine has neither.
func (v *visit) identity() (identity, bool) {
	joined, ok := v.readIdentity(v.identityDir())
	if v.agent == nil {
		return joined, ok
	}
	id := identity{node: v.agent.Node, controllers: v.agent.Controllers}
	if !v.agent.Given.Node && ok {
		id.node = joined.node
	}
	if !v.agent.Given.Controllers && ok {
		id.controllers = joined.controllers
	}
	switch {
	case !slices.ContainsFunc(id.controllers, isRemote):
	case v.agent.TLS != nil:
		id.files = mtls.Files{CA: v.agent.TLS.CA, Cert: v.agent.TLS.Cert, Key: v.agent.TLS.Key}
	default:
		id.files, id.joined = layout.Files(v.identityDir()), true
	}
	return id, true
}

// identityDir is where this machine's agent keeps its key and certificate once
// it has joined.
func (v *visit) identityDir() string {
	if v.agent != nil {
		return v.agent.IdentityDir
	}
	return conf.DefaultIdentityDir
}

func (t tree) readIdentity(dir string) (identity, bool) {
	text, ok := t.read(dir + "/" + layout.Record)
	if !ok {
		return identity{}, false
	}
	var file layout.Content
	if json.Unmarshal([]byte(text), &file) != nil {
		return identity{}, false
	}
	file.Controllers = slices.DeleteFunc(file.Controllers, func(a string) bool { return conf.CheckAddress(a) != nil })
	return identity{file.Node, file.Controllers, layout.Files(dir), true}, len(file.Controllers) > 0
}

func isRemote(address string) bool { return strings.HasPrefix(address, "https://") }

// hostPort is the host and port of an https address.
func hostPort(address string) string {
	return strings.TrimSuffix(strings.TrimPrefix(address, "https://"), "/")
}
