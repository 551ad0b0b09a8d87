package aws

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/pipenet"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/providertest"
)

// A world is a cloud in memory and a provider that talks to it by the SDK: two
// zones, with two subnets and two instances in the first and one of each in the
// second.
type world struct {
	*testing.T
	*Provider
	cloud     *cloudsim.Cloud
	vpc       string
	subnets   [3]string
	instances [3]nic.InstanceID
	group     string
	patient   bool // reads may fail
	face      http.Handler
	dial      func(context.Context, string, string) (net.Conn, error)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// open makes a world. What goes over the wire goes through pipes, so that a world
// can be in a bubble.
func open(t *testing.T, o cloudsim.Options) *world {
	t.Helper()
	w := &world{T: t, cloud: cloudsim.New(o)}
	t.Cleanup(w.cloud.Close)
	vpc, err := w.cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16"), CIDR6: netip.MustParsePrefix("fd80::/56")})
	w.must(err)
	w.vpc = vpc.ID
	group, err := w.cloud.AddGroup(cloudsim.SecurityGroup{Name: "containers", Description: "for containers", VPC: vpc.ID})
	w.must(err)
	w.group = group.ID
	for i, zone := range []string{"eu-central-1a", "eu-central-1a", "eu-central-1b"} {
		s, err := w.cloud.AddSubnet(cloudsim.Subnet{
			VPC: vpc.ID, Zone: zone, CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, byte(i), 0}), 24), //nolint:gosec // three
			CIDR6: netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x80, 7: byte(i)}), 64), //nolint:gosec // three
		})
		w.must(err)
		w.subnets[i] = s.ID
	}
	for i, subnet := range []int{0, 1, 2} {
		made, err := w.cloud.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: w.subnets[subnet]})
		w.must(err)
		w.instances[i] = nic.InstanceID(made[0].ID)
	}
	expires := time.Now().Add(24 * time.Hour)
	w.face = ec2.New(ec2.Options{Cloud: w.cloud, Keys: func(access string) (ec2.Key, bool) {
		return ec2.Key{Secret: testSecret, Session: testToken, Expires: expires}, access == testKey
	}})
	w.dial = serve(t, w.face)
	w.Provider = w.another()
	time.Sleep(o.Lag.Describe.Max) // until all that shows
	return w
}

// serve serves a handler on pipes, and returns how to connect.
func serve(t *testing.T, h http.Handler) func(context.Context, string, string) (net.Conn, error) {
	ln := pipenet.Listen()
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { _ = server.Serve(ln); close(done) }() // it ends by being closed
	t.Cleanup(func() { _ = server.Close(); <-done })
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := ln.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newEager(conn), nil
	}
}

// An eager conn does not wait with its writes until they are read: net/http reads a
// request's body to its end after the last byte is written, and the SDK closes it
// with the answer.
type eager struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newEager(c net.Conn) *eager {
	e := &eager{Conn: c, out: make(chan []byte, 64), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-e.out:
				if _, err := e.Conn.Write(b); err != nil {
					return // the reader notices too
				}
			case <-e.closed:
				return
			}
		}
	}()
	return e
}

func (e *eager) Write(b []byte) (int, error) {
	select {
	case e.out <- bytes.Clone(b):
		return len(b), nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

func (e *eager) Close() error {
	e.once.Do(func() { close(e.closed) })
	return e.Conn.Close()
}

// another is a provider on the same world that remembers nothing.
func (w *world) another() *Provider {
	w.Helper()
	return w.with(func(*Options) {})
}

// with is a provider on the same world, with other options.
func (w *world) with(change func(*Options)) *Provider {
	w.Helper()
	o := w.options()
	change(&o)
	p, err := New(w.Context(), o)
	w.must(err)
	return p
}

func (w *world) options() Options {
	transport := &http.Transport{DialContext: w.dial}
	w.Cleanup(transport.CloseIdleConnections)
	return Options{
		Name: "cloud", Cluster: "cl-1", Region: w.cloud.Region(), Endpoint: "http://ec2.test/",
		HTTPClient: &http.Client{Transport: transport, Timeout: attemptTime}, Log: slog.New(slog.NewTextHandler(w.Output(), nil)),
	}
}

// What package eni remembers, for how long.
const (
	newFor   = 30 * time.Second // that a NIC was placed
	fullFor  = time.Minute      // that a subnet was full
	roomFor  = 30 * time.Second // what an instance has room for
	staleFor = 10 * time.Second // that a NIC was plugged in
)

// inject plans faults.
func (w *world) inject(faults ...cloudsim.Fault) {
	w.Helper()
	_, err := w.cloud.Inject(faults...)
	w.must(err)
}

// spec is one for the first subnet.
func (w *world) spec(id nic.ID) nic.Spec {
	return nic.Spec{
		NIC: id, Network: "vpc", Tenant: "default", Node: "web1",
		Cloud: nic.CloudSpec{Zone: "eu-central-1a", Subnet: w.subnets[0], Groups: []string{w.group}, Tags: map[string]string{"team": "web"}},
	}
}

// place is the n-th instance's, as node webN.
func (w *world) place(n int) nic.Place {
	return nic.Place{Node: [3]string{"web1", "web2", "web3"}[n], Instance: w.instances[n]}
}

// onLoopback has the world talk through the kernel instead, outside of bubbles.
func (w *world) onLoopback() *world {
	server := httptest.NewServer(w.face)
	w.Cleanup(server.Close)
	var d net.Dialer
	w.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	w.Provider = w.another()
	return w
}

// ours are the interfaces that carry our tag.
func (w *world) ours() []cloudsim.Interface {
	var all []cloudsim.Interface
	for _, i := range w.cloud.Interfaces() {
		if i.Tags[eni.TagCluster] == "cl-1" {
			all = append(all, i)
		}
	}
	return all
}

// created makes a NIC and waits until it is available.
func (w *world) created(id nic.ID) nic.Seen {
	w.Helper()
	_, err := w.Create(w.Context(), w.spec(id))
	w.must(err)
	return w.until(id, nic.StateAvailable)
}

// attached plugs one in.
func (w *world) attached(id nic.ID, at nic.Place) nic.Seen {
	w.Helper()
	w.created(id)
	_, err := w.Attach(w.Context(), id, at)
	w.must(err)
	return w.until(id, nic.StateAttached)
}

// until looks until the NIC is in that state.
func (w *world) until(id nic.ID, want nic.State) nic.Seen {
	w.Helper()
	var last nic.Seen
	for range 300 {
		all, err := w.Get(w.Context(), id)
		if !w.patient {
			w.must(err)
		}
		if last = all[id]; last.State == want {
			return last
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is %q for ever; want %s", id, last.State, want)
	return last
}

// gone deletes a NIC until it is not found.
func (w *world) gone(id nic.ID) {
	w.Helper()
	for range 300 {
		err := w.Delete(w.Context(), id)
		switch e := kindOf(err); {
		case e == provider.ErrNotFound:
			return
		case err != nil && e != provider.ErrBusy && !w.patient:
			w.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is never gone", id)
}

// actions are what the kinds of the suite's calls are at EC2.
var actions = map[string]string{
	"create": apiCreateInterface, "attach": apiAttachInterface, "detach": apiDetachInterface, "delete": apiDeleteInterface,
	"publish": apiAllocateAddress, "unpublish": apiReleaseAddress, "published": apiDescribeAddresses,
	"get": apiDescribeInterfaces, "list": apiDescribeInterfaces, "limits": apiDescribeInstances, "off": apiDescribeInstances,
}

// tries is how often a call is made before it has failed: a public address is
// allocated once, since EC2 has no token for that.
func tries(op string) int {
	if op == "publish" {
		return 1
	}
	return attempts
}

// rig is the world for the conformance suite.
func (w *world) rig() *providertest.Rig {
	return &providertest.Rig{
		Provider: w.Provider,
		Places:   [2]nic.Place{w.place(0), w.place(1)},
		Spec:     w.spec,
		Settle:   func(*testing.T) { time.Sleep(500 * time.Millisecond) },
		Restart: func(*testing.T) provider.Provider {
			w.Provider = w.another()
			return w.Provider
		},
		Fail: func(op string, kind error) {
			f := cloudsim.Fault{Verb: cloudsim.ServerError, API: actions[op], Count: tries(op)}
			switch kind {
			case provider.ErrThrottled:
				f.Verb, f.Count = cloudsim.Throttle, 1
			case provider.ErrDenied:
				f.Verb, f.Count, f.Code, f.Message, f.Status = cloudsim.Fail, 1, "UnauthorizedOperation", "no", http.StatusForbidden
			}
			w.inject(f)
		},
		Lose: func(op string) {
			w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: actions[op], Count: tries(op)})
		},
		SetOff: w.setOff,
	}
}

func (w *world) setOff(instance nic.InstanceID, off bool) {
	power, want := w.cloud.StartInstances, cloudsim.InstanceRunning
	if off {
		power, want = w.cloud.StopInstances, cloudsim.InstanceStopped
	}
	_, err := power(w.Context(), cloudsim.Call{Caller: "test"}, string(instance))
	w.must(err)
	for range 100 {
		for _, i := range w.cloud.Instances() {
			if i.ID == string(instance) && i.State == want {
				return
			}
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is never %s", instance, want)
}
