//go:build linux

package trust

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// A test starts a rig, which is all it needs, and may run beside others:
//
//	func TestS2_SomethingIsRefused(t *testing.T) {
//		t.Parallel()
//		r := start(t, fleet.Options{Agents: 2})
//		vm1, vm2 := r.Agents[0], r.Agents[1]
//		r.run(vm1, "web", "nicferry.network=fixed")  // docker run on vm1
//		addr := r.address(vm1, "web")                // eth0 has it
//		done := r.ping(vm1, addr, 2*time.Second)     // from vm1's LAN
//		r.do(r.StopController(ctx))
//		done()                                       // fails if one was lost
//		out := r.cli("get", "claims")                // nicferry, beside the controller
//		why := r.refused("token", "create")          // the same, and it must fail
//		r.await("bound", func() (string, error) { return r.CLI(t.Context(), "get", "claims") })
//	}
//
// vm1's containers are on a LAN of its own (vm1.LAN) with a router and a DHCP
// server, see package fleet for the networks. Options.Networks adds networks to
// the controller's config and Options.Controller whatever else, such as tenants;
// r.Configure writes it anew for the controller's next start. Options.Agents are
// joined by token and started; with ByHand a test does that by itself, with
// vm1.Token, vm1.JoinWith and vm1.Start. A program that is none of these runs on
// the controller's machine by r.Machine.Run and on vm1 by vm1.Machine.Run, and as
// a daemon by r.Daemons().Start or vm1.Daemons().Start; r.Program is its path.
// When the test ends all containers are removed, both daemons must come to rest
// with nothing left, and the logs are shown if anything failed.

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, "../..", &bin).Run()) }

// A rig is a fleet of one test.
type rig struct {
	*fleet.Fleet
	t *testing.T
}

// startTime bounds the start of a fleet, and its end.
const startTime = 90 * time.Second

// start starts a fleet, which ends with the test.
func start(t *testing.T, opts fleet.Options) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	opts.Bin = bin
	f, err := fleet.Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Fleet: f, t: t}
	t.Cleanup(r.end)
	return r
}

// end takes the containers away as a user would, and wants nothing to be left
// where the daemons still run.
func (r *rig) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), startTime)
	defer cancel()
	err := r.leave(ctx)
	if err != nil {
		r.t.Error(err)
	}
	if r.t.Failed() {
		r.t.Log(r.Logs())
	}
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) leave(ctx context.Context) error {
	whole := r.Daemons().Process(fleet.Controller) != nil
	for _, a := range r.Agents {
		whole = whole && a.Daemons().Process(fleet.Nicferry) != nil
		ids, err := a.Docker(ctx, "ps", "-aq")
		if err != nil {
			return err
		}
		if names := strings.Fields(ids); len(names) > 0 {
			if _, err := a.Docker(ctx, append([]string{"rm", "-f"}, names...)...); err != nil {
				return err
			}
		}
	}
	if !whole || r.t.Failed() {
		return nil // some are ended on purpose, and nobody takes NICs back there
	}
	return fleet.Until(ctx, "all NICs to be gone", func() error {
		out, err := r.CLI(ctx, "get", "nics", "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = errors.New("there still are:\n" + out)
		}
		return err
	})
}

// do fails the test at an error.
func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// cli runs nicferry beside the controller and returns what it prints.
func (r *rig) cli(args ...string) string {
	r.t.Helper()
	out, err := r.CLI(r.t.Context(), args...)
	r.do(err)
	return out
}

// refused runs nicferry, which must fail, and returns why.
func (r *rig) refused(args ...string) string {
	r.t.Helper()
	out, err := r.CLI(r.t.Context(), args...)
	if err == nil {
		r.t.Fatalf("nicferry %s works, and should not:\n%s", strings.Join(args, " "), out)
	}
	return err.Error()
}

// run starts a container on a machine.
func (r *rig) run(a *fleet.Agent, name string, labels ...string) {
	r.t.Helper()
	r.do(a.RunContainer(r.t.Context(), name, labels...))
}

// address waits until the container's eth0 has an IPv4 address.
func (r *rig) address(a *fleet.Agent, container string) netip.Addr {
	r.t.Helper()
	addr, err := a.AwaitAddress(r.t.Context(), container)
	r.do(err)
	return addr
}

// ping pings every 10 ms from the machine's LAN. The test fails if any of it is
// lost until done is called, which waits for the end.
func (r *rig) ping(a *fleet.Agent, addr netip.Addr, duration time.Duration) (done func()) {
	r.t.Helper()
	_, err := a.LAN.Ping(r.t.Context(), addr, 10*time.Millisecond, 10*time.Millisecond) // the neighbours know each other now
	r.do(err)
	var result lab.PingResult
	ended := make(chan error, 1)
	go func() {
		var err error
		result, err = a.LAN.Ping(r.t.Context(), addr, 10*time.Millisecond, duration)
		ended <- err
	}()
	return func() {
		r.t.Helper()
		r.do(<-ended)
		if result.Lost > 0 || result.Received == 0 {
			r.t.Errorf("ping of %s: %s", addr, result)
		}
	}
}

// await asks until the answer has a match of the pattern, and returns it.
func (r *rig) await(pattern string, ask func() (string, error)) string {
	r.t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	var out string
	r.do(fleet.Until(r.t.Context(), fmt.Sprintf("%q", pattern), func() (err error) {
		if out, err = ask(); err == nil && !want.MatchString(out) {
			err = fmt.Errorf("it still is:\n%s", out)
		}
		return err
	}))
	return out
}

// match fails the test unless the text has a match of the pattern.
func (r *rig) match(text, pattern string) {
	r.t.Helper()
	if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
		r.t.Errorf("want a match of %q in:\n%s", pattern, text)
	}
}
