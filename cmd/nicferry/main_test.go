package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// leakChecked is a test run that fails on goroutines left behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"nicferry": main})
}

// TestScripts runs the real program against a real server; see testdata.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code,
			"fail": fail,
			"harm": harm,

			"trouble": trouble,

			"refuse": refuse,
			"play":   play,
			"fall":   fall,
			"fallen": fallen,
			"moved":  moved,
		},
	})
}

// code runs a command and wants the exit code given first.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

type backendKey struct{}

// harm gives the backend something to find, and a node that is silent with a
// claim and a NIC.
func harm(ts *testscript.TestScript, _ bool, _ []string) {
	b := ts.Value(backendKey{}).(*apitest.Backend)
	b.PutFindings(
		api.Finding{Kind: api.FindingUnrecorded, NIC: "nic-00000000000000e1", Provider: "local", Node: "n1", Message: "is attached\nand has no record", Remedy: "take it back"},
		api.Finding{Kind: api.FindingForeign, Node: "n1", Link: "nf0123456789ab", Message: "carries no mark"},
	)
	b.PutNode(nic.Node{
		Schema: 1, Name: "lost", Phase: nic.NodeSilent, LastSeen: time.Now().Add(-3 * time.Hour),
		Conditions: []nic.Condition{{Reason: nic.ReasonNodeSilent, Message: "no word", Since: time.Now()}},
	})
	b.PutClaim(api.ClaimView{Claim: nic.Claim{
		ID: "clm-00000000000000c7", Owner: nic.Owner{Node: "lost"}, Container: "db", NIC: "nic-00000000000000a7",
		Identity: nic.Identity{MAC: nic.MAC{2, 0, 0, 0, 0, 7}, Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.7/24")}},
	}})
	b.PutNIC(api.NICView{NIC: nic.NIC{ID: "nic-00000000000000a7", Node: "lost"}})
}

// fall gives the backend a node with cards, and a container that has a VF and what
// another network fell back to.
func fall(ts *testscript.TestScript, _ bool, _ []string) {
	b := ts.Value(backendKey{}).(*apitest.Backend)
	b.PutNode(nic.Node{Schema: 1, Name: "metal", Phase: nic.NodeReady, LastSeen: time.Now(), Inventory: nic.Inventory{
		Boot: "b-1", Cards: []nic.Card{
			{PCI: "0000:03:00.0", Name: "ens1f0", NUMA: 1, Carrier: true, VFs: []nic.CardVF{
				{PCI: "0000:03:10.0", Used: "elsewhere"}, {PCI: "0000:03:10.1", Index: 1, Used: "free"}, {PCI: "0000:03:10.2", Index: 2, Used: "free"},
			}},
			{PCI: "0000:03:00.1", NUMA: -1},
		},
	}, Conditions: []nic.Condition{{Reason: nic.ReasonOverlappingVFs, Message: "VF 1 of ens1f0 is two networks'", Since: time.Now()}}})
	owner := nic.Owner{Node: "metal", Kind: nic.OwnerContainer, Sandbox: "c1ffee0123456789", Interface: "eth0"}
	b.PutClaim(api.ClaimView{Claim: nic.Claim{
		ID: "clm-00000000000000d1", Owner: owner, Container: "fast", NIC: "nic-00000000000000d1", Phase: nic.ClaimBound, Epoch: 1,
	}})
	owner.Interface = "eth1"
	b.PutClaim(api.ClaimView{Claim: nic.Claim{
		ID: "clm-00000000000000d2", Owner: owner, Container: "fast", NIC: "nic-00000000000000d2", Phase: nic.ClaimBound, Epoch: 1,
		Identity:   nic.Identity{MAC: nic.MAC{2, 0, 0, 0, 0, 9}, Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.9/24")}},
		Conditions: []nic.Condition{{Reason: nic.ReasonFellBack, Message: "no VF was free", Since: time.Now()}},
	}})
}

// fallen gives the backend one more claim that fell back, an hour before others. One
// of the container apitest.FallsAgain falls back again when it is promoted.
func fallen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fallen claim container")
	}
	ts.Value(backendKey{}).(*apitest.Backend).PutClaim(api.ClaimView{Claim: nic.Claim{
		ID: nic.ClaimID(args[0]), Container: args[1], NIC: "nic-00000000000000d0", Phase: nic.ClaimBound, Epoch: 1,
		Owner:      nic.Owner{Node: "metal", Kind: nic.OwnerContainer, Sandbox: "c1ffee0123456780", Interface: "eth0"},
		Conditions: []nic.Condition{{Reason: nic.ReasonFellBack, Message: "no VF was free", Since: time.Now().Add(-time.Hour)}},
	}})
}

// trouble gives the backend something to say of itself.
func trouble(ts *testscript.TestScript, _ bool, _ []string) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d - time.Second) }
	ts.Value(backendKey{}).(*apitest.Backend).PutTroubles(
		nic.Condition{Reason: nic.ReasonStoreUnreachable, Message: "write store.db:\nno space left on device", Since: ago(3 * time.Hour)},
		nic.Condition{Reason: nic.ReasonUnreachable, Message: "provider vms does not answer", Since: ago(15 * time.Minute)},
	)
}

// fail makes the backend's next call of a method end with an API error.
func fail(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fail method code message")
	}
	ts.Value(backendKey{}).(*apitest.Backend).Fail(args[0], &api.Error{Code: api.Code(args[1]), Message: args[2]})
}

// serve serves until the script ends.
func serve(env *testscript.Env, ln net.Listener, opts server.Options) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	handler := server.New(opts)
	go func() {
		defer close(done)
		server.Run(ctx, ln, handler, opts.Log)
	}()
	env.Defer(func() { stop(); <-done })
}

// setup gives each script a server with the fixtures, and one that accepts
// and never answers.
func setup(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "nicferry") // shorter than the script's, as sockets must be
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(dir) })
	backend := fixtures()
	env.Values[backendKey{}] = backend
	mover := apitest.NewMover()
	env.Values[moverKey{}] = mover
	log := slog.New(slog.DiscardHandler)
	trust, err := newTrust(env, log)
	if err != nil {
		return err
	}
	ln, err := server.Listen(filepath.Join(dir, "s"), "", log)
	if err != nil {
		return err
	}
	serve(env, ln, server.Options{Backend: backend, Mover: mover, Trust: trust, Log: log})
	if err := serveOwn(env, trust, backend, log); err != nil {
		return err
	}
	if err := setupTLS(env, dir, backend, log); err != nil {
		return err
	}
	mute, err := net.Listen("unix", filepath.Join(dir, "mute"))
	if err != nil {
		return err
	}
	env.Defer(func() { mute.Close() })
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each program takes a second to end under -race
	env.Setenv("NICFERRY_SERVER", "unix://"+filepath.Join(dir, "s"))
	env.Setenv("MUTE", "unix://"+filepath.Join(dir, "mute"))
	return nil
}

// setupTLS serves the same over TLS at $REMOTE, and makes the pairs admin, viewer and
// node-n1 below $TLS.
func setupTLS(env *testscript.Env, dir string, backend *apitest.Backend, log *slog.Logger) error {
	ca, err := certs.New(filepath.Join(dir, "tls"))
	if err != nil {
		return err
	}
	pair, err := ca.Server("127.0.0.1")
	if err != nil {
		return err
	}
	_, adminErr := ca.Admin()
	_, nodeErr := ca.Node("n1")
	_, viewerErr := ca.Issue(certs.Leaf{File: "viewer", CommonName: "viewer", Organisation: mtls.ViewerOrganisation})
	if err := errors.Join(adminErr, nodeErr, viewerErr); err != nil {
		return err
	}
	ln, err := server.ListenTLS("127.0.0.1:0", mtls.Files(pair), log)
	if err != nil {
		return err
	}
	serve(env, ln, server.Options{Backend: backend, Log: log})
	env.Setenv("REMOTE", "https://"+ln.Addr().String())
	env.Setenv("TLS", filepath.Join(dir, "tls"))
	return nil
}

// fixtures are one of everything, with ages that a slow machine does not
// change.
func fixtures() *apitest.Backend {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d - time.Second).UTC().Truncate(time.Second) }
	prefix := netip.MustParsePrefix
	b := apitest.New()
	free := 93
	b.PutNetwork(api.NetworkView{Held: 2, Free: &free, Network: nic.Network{
		Name: "storage", Provider: "local", Addressing: nic.AddrIPAM, Space: "storage", MTU: 9000, Hold: nic.Duration(30 * time.Second),
		Subnets: []nic.Subnet{{
			Prefix: prefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1"),
			Ranges: []nic.Range{{First: netip.MustParseAddr("10.1.0.5"), Last: netip.MustParseAddr("10.1.0.99")}},
		}},
		Device: nic.Device{Kind: nic.Macvlan, Parent: "eth1"},
	}})
	b.PutNetwork(api.NetworkView{Held: 1, Network: nic.Network{
		Name: "lab", Provider: "local", Addressing: nic.AddrDHCP, Space: "lab", Hold: nic.Duration(time.Minute),
		Device: nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "nf-lab", Owned: true}},
	}})
	b.PutNode(nic.Node{
		Schema: 1, Name: "n1", Phase: nic.NodeReady, Session: 7, Join: 2, LastSeen: ago(3 * time.Hour),
		Instances: map[string]nic.InstanceID{"local": "n1"},
		Inventory: nic.Inventory{Boot: "b-1", Kernel: "6.1.0", Docker: "20.10.24", AgentVersion: "v1"},
	})
	mac := nic.MAC{0x02, 0, 0, 0, 0, 0x01}
	owner := nic.Owner{Node: "n1", Kind: nic.OwnerContainer, Sandbox: "c0ffee0123456789", Interface: "eth0"}
	observed := nic.Observed{
		NIC: "nic-00000000000000a1", Claim: "clm-00000000000000c1", Epoch: 1, State: nic.ObservedIn, Running: true,
		MAC: mac, Addrs: []netip.Prefix{prefix("192.168.7.20/24")}, At: ago(2 * time.Hour),
	}
	b.PutClaim(api.ClaimView{Observed: &observed, Claim: nic.Claim{
		Schema: 1, ID: "clm-00000000000000c1", Tenant: "default", Owner: owner, Container: "web", NIC: "nic-00000000000000a1",
		Request: nic.Request{Interface: "eth0", Network: "lab"}, Phase: nic.ClaimBound, Epoch: 1,
		Identity: nic.Identity{MAC: mac, Public: netip.MustParseAddr("203.0.113.9")}, Created: ago(4 * time.Hour), Since: ago(4 * time.Hour),
	}})
	owner.Interface = "eth1"
	b.PutClaim(api.ClaimView{Claim: nic.Claim{
		Schema: 1, ID: "clm-00000000000000c2", Tenant: "default", Owner: owner, Container: "web", Phase: nic.ClaimRefused, Epoch: 3,
		Request:  nic.Request{Interface: "eth1", Network: "storage", Addrs: []netip.Addr{netip.MustParseAddr("10.1.0.7")}},
		Identity: nic.Identity{}, Created: ago(72 * time.Hour), Since: ago(72 * time.Hour),
		Conditions: []nic.Condition{
			{Reason: nic.ReasonWaitingForNode, Message: "old news", Since: ago(72 * time.Hour)},
			{Reason: nic.ReasonAddressTaken, Message: "10.1.0.7 is held by clm-00000000000000c9", Since: ago(71 * time.Hour)},
		},
	}})
	b.PutNIC(api.NICView{Observed: &observed, NIC: nic.NIC{
		Schema: 1, ID: "nic-00000000000000a1", Tenant: "default", Network: "lab", Provider: "local", Node: "n1", Instance: "n1",
		Phase: nic.PhaseHeld, Holder: "clm-00000000000000c1", Created: ago(4 * time.Hour), Since: ago(4 * time.Hour),
		Seen: nic.Seen{
			NIC: "nic-00000000000000a1", State: nic.StateAttached, MAC: mac,
			Device: nic.Device{Kind: nic.Veth, MAC: mac, Bridge: nic.Bridge{Name: "nf-lab", Owned: true}},
		},
	}})
	return b
}
