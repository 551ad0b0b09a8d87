package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
)

// A guarded is a path that only some may write or open.
type guarded struct {
	path string
	not  fs.FileMode // the bits of others that must be off
	why  string
	// owners are whose it may be; nil for anybody's.
	owners []string
}

// guardedPaths are what the daemons rely on. Keys of the operator's own, and the
// store, are in the checks of certificates and of the store.
func (v *visit) guardedPaths() []guarded {
	const configWhy = "whoever writes it says what a daemon of root's does"
	root, daemons := []string{"root"}, []string{"root", "nicferry"}
	all := []guarded{
		{"/etc/nicferry", 0o022, configWhy, root},
		{v.AgentConfig, 0o022, configWhy, root},
		{"/run/nicferry", 0o002, "whoever writes it can stand in for the controller's socket", root},
		{v.identityDir(), 0o077, "the agent's key is in it", root},
	}
	if v.agent != nil {
		all = append(all, guarded{v.agent.RunDir, 0o077, "what was wanted and leased is in it", root})
	}
	if v.hasController() {
		all = append(all, guarded{v.ControllerConfig, 0o022, configWhy, root})
	}
	if v.controller != nil && v.controller.Etcd == nil {
		all = append(all,
			guarded{v.controller.Store, 0o077, "the CA's key and all records are in it", daemons},
			// Others may pass: the agent's own directory is in the same one.
			guarded{path.Dir(v.controller.Store), 0o066, "the store is in it", daemons},
		)
	}
	if v.controller != nil {
		all = append(all, guarded{v.controller.Socket, 0o007, "whoever opens it may do everything", daemons})
	}
	return all
}

// keys are the private keys that the configs name. An operator's own may be read
// by a group: the controller's account is not root.
func (v *visit) keys() []guarded {
	var keys []guarded
	if id, ok := v.identity(); ok && id.files.Key != "" {
		not := fs.FileMode(0o007)
		if id.joined {
			not = 0o077
		}
		keys = append(keys, guarded{id.files.Key, not, "it is the private key", nil})
	}
	if v.controller != nil && v.controller.Listen != nil && v.controller.Listen.Key != "" {
		keys = append(keys, guarded{v.controller.Listen.Key, 0o007, "it is the private key", nil})
	}
	return keys
}

// shared says of a directory that it is the system's, as for a store in /srv:
// its mode is not ours to judge.
func shared(dir string) bool {
	return slices.Contains([]string{"/", "/tmp", "/var", "/var/lib", "/var/tmp", "/srv", "/opt", "/home", "/root", "/etc", "/run", "/mnt"}, path.Clean(dir))
}

// checkPermissions reads who may open and write what is the daemons'.
func checkPermissions(_ context.Context, v *visit) {
	looked := 0
	for _, g := range append(v.guardedPaths(), v.keys()...) {
		info, err := os.Stat(v.path(g.path))
		switch {
		case errors.Is(err, fs.ErrPermission):
			v.warn("run it as root", "cannot look at %s", g.path)
			continue
		case err != nil || shared(g.path):
			continue
		}
		looked++
		if owner := v.owner(info); g.owners != nil && !slices.Contains(g.owners, owner) {
			v.fail("chown "+g.owners[0]+": "+g.path, "%s belongs to %s: %s", g.path, owner, g.why)
		}
		if info.Mode().Perm()&g.not != 0 {
			v.fail("chmod "+octal(info.Mode()&^g.not)+" "+g.path+"; nicferry doctor --fix does it",
				"%s (mode %s) is open to others: %s", g.path, octal(info.Mode()), g.why)
		}
	}
	if v.quiet() && looked == 0 {
		v.ok("nothing of the daemons is here yet")
	} else if v.quiet() {
		v.ok("%d files, directories and sockets of the daemons are theirs alone, as far as they should be", looked)
	}
}

// octal is a mode as chmod takes it.
func octal(mode fs.FileMode) string {
	const digits = "01234567"
	n := int(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		n |= 0o1000
	}
	text := make([]byte, 4)
	for i := range text {
		text[3-i] = digits[n&7]
		n >>= 3
	}
	return string(text)
}
