//go:build linux

package trust

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// joinFails has a machine join in vain, and returns why; the exit code must be
// that one.
func (r *rig) joinFails(a *fleet.Agent, code int, token string, flags ...string) string {
	r.t.Helper()
	out, err := a.JoinWith(r.t.Context(), token, flags...)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != code {
		r.t.Errorf("join %q: %v, want exit code %d", flags, err, code)
	}
	if token != "" && strings.Contains(out, token) {
		r.t.Errorf("the token is shown:\n%s", out)
	}
	return out
}

func (r *rig) token(a *fleet.Agent, flags ...string) string {
	r.t.Helper()
	token, err := a.Token(r.t.Context(), flags...)
	r.do(err)
	return token
}

// A machine joins with a token, and its containers get NICs. The token is good
// once, from the controller that made it, and not without all of its text.
func TestS4_MachinesJoinByToken(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{Agents: 2, ByHand: true})
	vm1, vm2 := r.Agents[0], r.Agents[1]
	r.do(r.StartController(t.Context()))
	token := r.token(vm1)
	out, err := vm1.JoinWith(t.Context(), token)
	r.do(err)
	r.match(out, "joined as node vm1; .* nicferry-agent renews it by itself")
	if strings.Contains(out+r.Log(), token) {
		t.Errorf("the token is shown:\n%s", out)
	}
	for name, mode := range map[string]fs.FileMode{".": 0o700, "key.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(vm1.IdentityDir(), name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	r.do(vm1.Start(t.Context()))
	r.run(vm1, "web", "nicferry.network=fixed")
	r.ping(vm1, r.address(vm1, "web"), 200*time.Millisecond)()

	// What does not work, and says why.
	r.match(r.joinFails(vm2, 4, token), "the token was used already, at .* for node vm1; make a new one")
	r.match(r.joinFails(vm1, 2, r.token(vm1)), "joined already, as node vm1 .*--force")
	r.match(r.joinFails(vm2, 2, token[:60]), "not the whole of a token")
	r.match(r.joinFails(vm2, 2, ""), "there is nothing to read")

	// From a file, as vm2, and with a token whose address is in it.
	path := vm2.File("token")
	r.do(os.WriteFile(path, []byte(r.token(vm2, "--address", r.Address())+"\n"), 0o600))
	_, err = vm2.Machine.Run(t.Context(), r.Program("nicferry-agent"), "join", "--identity-dir", vm2.IdentityDir(), path)
	r.do(err)
	r.do(vm2.Start(t.Context()))
	r.match(r.cli("get", "nodes"), `vm1 +.*ready(.|\n)*vm2 +.*ready`)
}

// A machine that shows the token to somebody else's controller, by mistake or
// because somebody stands in between, tells it nothing.
func TestS4_AnotherController(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{ByHand: true})
	vm1 := r.Agents[0]
	r.do(r.StartController(t.Context()))
	config, err := os.ReadFile(r.ConfigPath())
	r.do(err)
	other := strings.NewReplacer(":7460", ":7470", "nicferryd.sock", "other.sock", "nicferry.db", "other.db").Replace(string(config))
	r.do(os.WriteFile(r.File("other.yaml"), []byte(other+"\nmetrics: {address: \"\"}\n"), 0o600))
	r.do(r.Daemons().Start(lab.Program{Name: "other", Args: []string{r.Program("nicferryd"), "--config", r.File("other.yaml")}}))
	token := r.token(vm1)
	join := func() (string, error) {
		cmd := vm1.Machine.Command(t.Context(), r.Program("nicferry-agent"), "join", "--identity-dir", vm1.IdentityDir(), "10.98.0.1:7470", "-")
		cmd.Stdin = strings.NewReader(token)
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 4 {
			err = nil
		}
		return string(out), err
	}
	r.await("is not the controller that made the token: .* the token was not sent", join)
	if said := readText(t, r.File("other.log")); strings.Contains(said, "/v1/join") || strings.Contains(said, token) {
		t.Errorf("the other controller heard of it:\n%s", said)
	}
	_, err = vm1.JoinWith(t.Context(), token)
	r.do(err)
}

// A machine that has another node's token is that node, unless its config says
// that it is not.
func TestS4_AnotherNodesToken(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{Agents: 1, ByHand: true})
	vm1 := r.Agents[0]
	r.do(r.StartController(t.Context()))
	r.cli("token", "create", "--node", "vm7")
	token := strings.TrimSpace(r.cli("token", "create", "--node", "vm8"))
	_, err := vm1.JoinWith(t.Context(), token)
	r.do(err)
	r.do(vm1.Configure("node: vm1\n"))
	_, err = vm1.Machine.Run(t.Context(), r.Program("nicferry-agent"), "--config", vm1.ConfigPath())
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
		t.Fatalf("the agent ended with %v, want exit code 2", err)
	}
	r.match(err.Error(), "the config says that this is node vm1, and the certificate in .* is node vm8's")
	if out := r.cli("get", "nodes", "-o", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("the controller has heard of %q", out)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
