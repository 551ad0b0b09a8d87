//go:build linux

package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, "../..", &bin).Run()) }

// A rig is two machines on one switch, whose containers move to and fro. It serves
// many cases, one after the other: see scene.
type rig struct {
	*fleet.Fleet
	vm1, vm2 *fleet.Agent
	faults   map[string]*faulty // by machine
	frames   *capture
	places   *sampler
	before   map[string]lab.Snapshot
	calls    *http.Client // to the controller
	off      map[string]bool
	broken   bool // a case has left it as it should not be, and has told that
}

// startTime bounds the start of a rig, and its end.
const startTime = 90 * time.Second

// networks are more than the fleet has: one with both kinds of addresses, which
// gives back fast.
const networks = `  - name: both
    provider: local
    addressing: ipam
    hold: 1s
    cooldown: 1s
    veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}
    subnets:
      - {prefix: 10.77.1.0/24, gateway: 10.77.1.1, ranges: [10.77.1.20-10.77.1.99]}
      - {prefix: fd77::/64, gateway: "fd77::1", ranges: ["fd77::1:0-fd77::1:ff"]}
`

// newRig starts one, which ends with the test.
func newRig(t *testing.T) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Options{Bin: bin, Agents: 2, OneLAN: true, ByHand: true, Networks: networks})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Fleet: f, vm1: f.Agents[0], vm2: f.Agents[1], faults: map[string]*faulty{}, before: map[string]lab.Snapshot{}, off: map[string]bool{}}
	t.Cleanup(func() { r.end(t) })
	r.calls = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", f.File("nicferryd.sock"))
	}}}
	if err := r.begin(ctx, t); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) begin(ctx context.Context, t *testing.T) (err error) {
	if err := r.images(ctx, t); err != nil {
		return err
	}
	for _, a := range r.Agents {
		if r.before[a.Name], err = a.Machine.Snapshot(ctx); err != nil {
			return err
		}
		if r.faults[a.Name], err = newFaulty(a); err != nil {
			return err
		}
		if err := a.Configure(""); err != nil {
			return err
		}
	}
	if err := r.StartController(ctx); err != nil {
		return err
	}
	for _, a := range r.Agents {
		if err := a.Join(ctx); err != nil {
			return err
		}
		if err := a.Start(ctx); err != nil {
			return err
		}
	}
	if r.frames, err = newCapture(ctx, r.Fleet); err != nil {
		return err
	}
	r.places = newSampler(ctx, r.Agents)
	return nil
}

// echoImage has what the lab's has, and a program that answers the peer.
const echoImage = "nicferry-lab/echo:latest"

// images puts one image, the same, on both machines.
func (r *rig) images(ctx context.Context, t *testing.T) error {
	program := filepath.Join(t.TempDir(), "echo")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build echo: %w\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	for _, args := range [][]string{
		{"create", "--name", "maker", lab.ImageName},
		{"cp", program, "maker:/bin/echo-server"},
		{"commit", "--change", `CMD ["/bin/echo-server"]`, "maker", echoImage},
		{"rm", "maker"},
		{"save", "-o", file, echoImage, lab.ImageName},
	} {
		if _, err := r.vm1.Docker(ctx, args...); err != nil {
			return err
		}
	}
	if _, err := r.vm2.Docker(ctx, "rmi", lab.ImageName); err != nil { // it has another id
		return err
	}
	_, err := r.vm2.Docker(ctx, "load", "-i", file)
	return err
}

// end wants nothing to be left, and takes the rig away.
func (r *rig) end(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startTime)
	defer cancel()
	if !t.Failed() && !r.broken {
		if err := r.leave(ctx); err != nil {
			t.Error(err)
		}
	}
	for _, wrong := range r.wrong() {
		t.Error(wrong)
	}
	if t.Failed() && !strings.Contains(t.Name(), "Matrix") {
		t.Log(r.Logs())
	}
	for _, a := range r.Agents { // what is stopped is not reaped
		_ = a.Daemons().Signal(fleet.Nicferry, syscall.SIGCONT)
	}
	if r.places != nil {
		r.places.close()
		r.frames.close()
	}
	for _, f := range r.faults {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
	r.calls.CloseIdleConnections()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// leave removes all containers as a user would, ends the agents, and compares.
func (r *rig) leave(ctx context.Context) error {
	for _, a := range r.Agents {
		ids, err := a.Docker(ctx, "ps", "-aq")
		if err != nil {
			return err
		}
		if names := strings.Fields(ids); len(names) > 0 {
			if _, err := a.Docker(ctx, append([]string{"rm", "-f", "-v"}, names...)...); err != nil {
				return err
			}
		}
	}
	err := fleet.Until(ctx, "all NICs and claims to be gone", func() error {
		for _, kind := range []string{"nics", "claims"} {
			out, err := r.CLI(ctx, "get", kind, "-o", "name")
			if err != nil || strings.TrimSpace(out) != "" {
				return errors.Join(err, errors.New("there still are:\n"+out))
			}
		}
		return nil
	})
	if err == nil {
		err = r.holds(ctx)
	}
	for _, a := range r.Agents {
		err = errors.Join(err, a.Stop(ctx))
		left, lookErr := a.Machine.Leftovers(ctx, r.before[a.Name], settleTime)
		if err = errors.Join(err, lookErr); len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("left behind on %s: %q", a.Name, left))
		}
	}
	return errors.Join(err, r.StopController(ctx))
}

// wrong is what was seen at any time that must never be.
func (r *rig) wrong() []string {
	if r.places == nil {
		return nil
	}
	return append(r.places.wrong(), r.frames.wrong()...)
}

// holds waits until all that must always hold does.
func (r *rig) holds(ctx context.Context) error {
	nodes := map[string]*lab.Node{}
	for _, a := range r.Agents {
		if !r.off[a.Name] {
			nodes[a.Name] = a.Machine
		}
	}
	return promise.Await(ctx, promise.Options{Config: r.ConfigPath(), Nodes: nodes}, settleTime)
}

// get asks the controller, and reads its answer into out.
func (r *rig) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://controller"+path, nil)
	if err != nil {
		return err
	}
	resp, err := r.calls.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
