package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/relay"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lab = nic.Network{
	Name: "lab", Provider: "local", Addressing: nic.AddrIPAM, Space: "lab", Hold: nic.Duration(30 * time.Second),
	Subnets: []nic.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}},
	Device:  nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "br0", Owned: true}},
}

var owner = nic.Owner{Node: "n1", Kind: nic.OwnerContainer, Sandbox: "c0ffee", Interface: "eth0"}

// controller is a server on a socket of its own that can be stopped and
// started again, as the real one can.
type controller struct {
	t       *testing.T
	socket  string
	backend *apitest.Backend
	mover   *apitest.Mover
	opts    server.Options
	log     *lockedBuffer
	trust   *authority.Authority
	orders  *orders
	streams *relay.Relay
	stop    func()
}

func start(t *testing.T, edit ...func(*server.Options)) *controller {
	t.Helper()
	c := &controller{
		t: t, socket: filepath.Join(t.TempDir(), "run", "nicferryd.sock"),
		backend: apitest.New(lab), mover: apitest.NewMover(), log: &lockedBuffer{},
	}
	c.opts = server.Options{
		Backend: c.backend, Mover: c.mover,
		Log:     slog.New(slog.NewTextHandler(c.log, nil)),
		Version: api.Version{Version: "v1", Commit: "abc", Go: "go1"},
	}
	c.orders, c.streams = newOrders(t), relay.New(relay.Options{})
	c.opts.Tasks, c.opts.Streams = c.orders, c.streams
	c.trust = newAuthority(t, c.opts.Log)
	c.opts.Trust = c.trust
	for _, e := range edit {
		e(&c.opts)
	}
	c.Start()
	t.Cleanup(func() { c.Stop() })
	return c
}

func (c *controller) Start() {
	c.t.Helper()
	handler := server.New(c.opts) // takes longer than a caller on a busy machine may wait for an answer
	ln, err := server.Listen(c.socket, "", c.opts.Log)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, ln, handler, c.opts.Log) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("server ended with %v", err)
		}
	})
}

func (c *controller) Stop() { c.stop() }

func (c *controller) client() *client.Client {
	c.t.Helper()
	cl, err := client.Open(client.Options{Addresses: []string{"unix://" + c.socket}, Retries: 50})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// send is for what a client of ours would never send.
func (c *controller) send(method, path, body string) *http.Response {
	c.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	}}
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestEveryRouteThroughTheClient(t *testing.T) {
	t.Parallel()
	t.Run("unix", func(t *testing.T) {
		t.Parallel()
		ctl := start(t)
		checkEveryRoute(t, ctl, ctl.client())
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		ctl := startTLS(t)
		admin, err := ctl.ca.Admin()
		if err != nil {
			t.Fatal(err)
		}
		checkEveryRoute(t, ctl.controller, ctl.tlsClient(admin))
	})
}

func checkEveryRoute(t *testing.T, ctl *controller, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	node, err := c.Hello(ctx, "n1", nic.Inventory{Boot: "b1", Kernel: "6.1", Docker: "20.10", AgentVersion: "v1"})
	if err != nil || node.Session != 1 {
		t.Fatalf("hello: %+v, %v", node, err)
	}
	request := nic.Request{
		Interface: "eth0", Network: "lab", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")},
		MAC: nic.MAC{2, 0, 0, 0, 0, 1}, Faults: nic.Faults{{Field: "nicferry.ip", Problem: "odd"}},
	}
	claim, err := c.Acquire(ctx, owner, "web", request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(request, claim.Request, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("the request changed on the wire (-sent +stored):\n%s", diff)
	}
	again, err := c.Acquire(ctx, owner, "web", request)
	if err != nil || again.ID != claim.ID {
		t.Errorf("acquire again: %s, %v; want the same claim %s", again.ID, err, claim.ID)
	}
	wanted, revision, err := c.Wanted(ctx, "n1", 0)
	if err != nil || len(wanted) != 1 || wanted[0].Claim != claim.ID || revision == 0 {
		t.Fatalf("wanted: %+v at %d, %v", wanted, revision, err)
	}
	observed := nic.Observed{
		NIC: claim.NIC, Claim: claim.ID, Epoch: 1, State: nic.ObservedIn, Running: true, MAC: claim.Identity.MAC,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/24")}, At: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC),
	}
	if err := c.Report(ctx, "n1", nic.NodeReport{Session: node.Session, NICs: []nic.Observed{observed}}); err != nil {
		t.Fatal(err)
	}
	checkReads(t, c, claim, observed)
	if err := c.Release(ctx, claim.ID, claim.Epoch); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(ctx, claim.ID, claim.Epoch); err != nil {
		t.Errorf("release of what is gone: %v, want nil", err)
	}
	if _, err := c.Claim(ctx, claim.ID); !api.IsNotFound(err) {
		t.Errorf("claim after release: %v, want not found", err)
	}
	if v, err := c.Version(ctx); err != nil || v != ctl.opts.Version {
		t.Errorf("version: %+v, %v", v, err)
	}
}

func checkReads(t *testing.T, c *client.Client, claim nic.Claim, observed nic.Observed) {
	t.Helper()
	ctx := t.Context()
	compare := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	one, err := c.Claim(ctx, claim.ID)
	if diff := cmp.Diff(api.ClaimView{Claim: claim, Observed: &observed}, one, compare); diff != "" || err != nil {
		t.Errorf("claim: %v (-want +got):\n%s", err, diff)
	}
	claims, err := c.Claims(ctx)
	if diff := cmp.Diff([]api.ClaimView{one}, claims, compare); diff != "" || err != nil {
		t.Errorf("claims: %v (-want +got):\n%s", err, diff)
	}
	n, err := c.NIC(ctx, claim.NIC)
	if err != nil || n.Holder != claim.ID || n.Observed == nil || n.Observed.State != nic.ObservedIn {
		t.Errorf("NIC: %+v, %v", n, err)
	}
	if nics, err := c.NICs(ctx); err != nil || len(nics) != 1 || nics[0].ID != claim.NIC {
		t.Errorf("NICs: %+v, %v", nics, err)
	}
	node, err := c.Node(ctx, "n1")
	if err != nil || node.Inventory.Boot != "b1" {
		t.Errorf("node: %+v, %v", node, err)
	}
	if nodes, err := c.Nodes(ctx); err != nil || len(nodes) != 1 {
		t.Errorf("nodes: %+v, %v", nodes, err)
	}
	network, err := c.Network(ctx, "lab")
	if diff := cmp.Diff(api.NetworkView{Network: lab}, network, compare, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("network: %v (-want +got):\n%s", err, diff)
	}
	if networks, err := c.Networks(ctx); err != nil || len(networks) != 1 {
		t.Errorf("networks: %+v, %v", networks, err)
	}
}

func TestPagesAreFollowed(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	const many = 1203 // two full pages of 500 and a part
	for range many {
		ctl.backend.PutNIC(api.NICView{NIC: nic.NIC{ID: nic.NewID()}})
	}
	nics, err := ctl.client().NICs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[nic.ID]bool{}
	for _, n := range nics {
		seen[n.ID] = true
	}
	if len(nics) != many || len(seen) != many {
		t.Errorf("got %d NICs, %d different; want %d", len(nics), len(seen), many)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	if _, err := ctl.client().Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/claims", "/v1/nics", "/v1/nodes/n1/wanted"} {
		var text bytes.Buffer
		if _, err := text.ReadFrom(ctl.send("GET", path, "").Body); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), `"items":[]`) {
			t.Errorf("%s: %s", path, &text)
		}
	}
}

// A controller that is being restarted is no error for its callers.
func TestCallsOutliveARestart(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c := ctl.client()
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the first call after a restart has a dead idle connection
		ctl.Stop()
		claimed := make(chan error, 1)
		go func() {
			_, err := c.Acquire(t.Context(), owner, "web", nic.Request{Interface: "eth0", Network: "lab"})
			claimed <- err
		}()
		ctl.Start()
		if err := <-claimed; err != nil {
			t.Fatal(err)
		}
	}
	if claims, err := c.Claims(t.Context()); err != nil || len(claims) != 1 {
		t.Errorf("got %d claims, %v; want the one", len(claims), err)
	}
}
