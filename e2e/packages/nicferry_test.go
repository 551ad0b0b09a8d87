//go:build linux

package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// units are the daemons' by their packages.
var units = map[string]string{"nicferry-controller": "nicferryd.service", "nicferry-agent": "nicferry-agent.service"}

// all are the packages that there are.
var all = []string{"nicferry-controller", "nicferry-agent", "nicferry"}

// A release is the paths of a version's packages for the machine, by name.
type release map[string]string

// What is installed first, and what that is upgraded to.
const (
	older = "1.0.0"
	newer = "2.0.0~rc.1"
)

// pack returns the folders of the packages in both versions, of the same programs;
// where NICFERRY_PACKAGES says where they are, it is a folder for each version in
// there.
func pack(t *testing.T) (first, second string) {
	t.Helper()
	if dir := os.Getenv("NICFERRY_PACKAGES"); dir != "" {
		return filepath.Join(dir, older), filepath.Join(dir, newer)
	}
	first, second = built(t), t.TempDir()
	inRoot(t, "env", "DEB_VERSION="+newer, "scripts/deb", filepath.Join(first, "bin"), second)
	return first, second
}

var once sync.Once

// built is the folder of the packages in the older version, which are built once
// for all tests. It stays in build, so that the next run links what has changed.
func built(t *testing.T) (dir string) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "build", "packages"))
	if err != nil {
		t.Fatal(err)
	}
	once.Do(func() { makeDeb(t, dir) })
	return dir
}

// makeDeb builds the packages in the older version.
func makeDeb(t *testing.T, dir string) {
	t.Helper()
	inRoot(t, "make", "deb", "DEB="+dir, "DEB_VERSION="+older, "VERSION="+older)
}

// root is the module's folder.
const root = "../.."

// inRoot runs a command in the module's folder.
func inRoot(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// bring copies a release into the machine.
func (m *machine) bring(dir string) release {
	m.t.Helper()
	r := release{}
	for _, name := range all {
		found, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
		if err != nil || len(found) != 1 {
			m.t.Fatalf("packages of %s: %q, %v; want one", name, found, err)
		}
		data, err := os.ReadFile(found[0])
		if err != nil {
			m.t.Fatal(err)
		}
		r[name] = filepath.Join("/srv", filepath.Base(found[0]))
		if err := os.WriteFile(m.path(r[name]), data, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	return r
}

// install installs packages of a release and waits until their daemons serve.
func (m *machine) install(r release, names ...string) string {
	m.t.Helper()
	args := []string{"--install"}
	for _, name := range names {
		args = append(args, r[name])
	}
	out := m.run("dpkg", args...)
	for _, name := range names {
		if unit := units[name]; unit != "" {
			m.run("systemctl", "is-active", "--quiet", unit)
			m.run("systemctl", "is-enabled", "--quiet", unit)
		}
	}
	if len(names) > 1 {
		m.ready()
	}
	return out
}

// ready waits until the node is.
func (m *machine) ready() {
	m.t.Helper()
	m.until("node1 to be ready", func(context.Context) error {
		out, err := m.try("nicferry", "get", "nodes", "-o", "wide")
		if err == nil && !strings.Contains(out, "node1") {
			err = fmt.Errorf("the nodes are %q", out)
		}
		if err == nil {
			_, err = m.try("nicferry", "status")
		}
		return err
	})
}

// A card is eth0 of a container.
type card struct{ MAC, Addr string }

// container runs a container with a NIC of network lab.
func (m *machine) container(name string) card {
	m.t.Helper()
	m.run("docker", "run", "--detach", "--init", "--network", "none", "--label", "nicferry.network=lab", "--name", name, lab.ImageName)
	m.until(name+" to have its NIC", func(context.Context) error {
		claims := list[nic.Claim](m, "claims")
		if !slices.ContainsFunc(claims, func(c nic.Claim) bool { return c.Container == name && c.Phase == nic.ClaimBound }) {
			return fmt.Errorf("the claims are %+v", claims)
		}
		return nil
	})
	return m.eth0(name)
}

// list reads what the command line lists. A controller that is away has nothing
// to say.
func list[T any](m *machine, what string) []T {
	m.t.Helper()
	out, err := m.try("nicferry", "get", what, "-o", "json")
	if err != nil {
		m.t.Logf("%v", err)
		return nil
	}
	var answer struct{ Items []T }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		m.t.Fatalf("nicferry get %s: %v: %s", what, err, out)
	}
	return answer.Items
}

// eth0 is what the container itself sees.
func (m *machine) eth0(container string) card {
	m.t.Helper()
	out := m.run("docker", "exec", container, "ip", "address", "show", "dev", "eth0")
	var c card
	for line := range strings.Lines(out) {
		switch f := strings.Fields(line); {
		case len(f) > 1 && f[0] == "link/ether":
			c.MAC = f[1]
		case len(f) > 1 && f[0] == "inet":
			c.Addr, _, _ = strings.Cut(f[1], "/")
		}
	}
	if c.MAC == "" || c.Addr == "" {
		m.t.Fatalf("eth0 of %s is\n%s", container, out)
	}
	return c
}

// links are the machine's own, by name.
func (m *machine) links() string {
	m.t.Helper()
	var names []string
	for line := range strings.Lines(m.run("ip", "-brief", "link")) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}
