//go:build linux

package vmagent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
	"github.com/nicferry/nicferry/vmagent/vmagenttest"
)

// A machine is a node with an agent that a director directs.
type machine struct {
	*vmagenttest.Director
	t      *testing.T
	host   *netns.Namespace
	engine *engine
	dir    string
	log    *lines
	stop   func()
	with   func(*vmagent.Options) // optional
	agent  *vmagent.Agent         // the one that was started last
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return newMachineWith(t, netnstest.New(t), nil)
}

// newMachineWith is newMachine in a namespace, with other options of its agents.
func newMachineWith(t *testing.T, host *netns.Namespace, with func(*vmagent.Options)) *machine {
	t.Helper()
	m := &machine{Director: vmagenttest.NewDirector(), t: t, host: host, engine: newEngine(), dir: t.TempDir(), log: &lines{}, with: with}
	m.start()
	t.Cleanup(func() { m.stop() })
	return m
}

// start starts an agent over what an earlier one has left.
func (m *machine) start() {
	m.t.Helper()
	opts := vmagent.Options{
		Node: "here", Inventory: nic.Inventory{Boot: "b"}, Controller: m.Director, Engine: m.engine, Host: m.host, RunDir: m.dir,
		Log:        slog.New(slog.NewTextHandler(m.log, nil)),
		Superseded: func(error) bool { return false },
	}
	if m.with != nil {
		m.with(&opts)
	}
	agent, err := vmagent.New(opts)
	if err != nil {
		m.t.Fatal(err)
	}
	m.agent = agent
	ctx, cancel := context.WithCancel(m.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(agent.Run(ctx), agent.Close()) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("agent: %v", err)
		}
	})
}

// addrs is what iproute2 shows of a namespace.
func (m *machine) addrs(ns *netns.Namespace) string {
	m.t.Helper()
	return netnstest.Run(m.t, ns, "ip", "-o", "addr")
}

// links are the names of the host's links.
func (m *machine) links() (names []string) {
	m.t.Helper()
	for line := range strings.Lines(netnstest.Run(m.t, m.host, "ip", "-br", "link")) {
		names = append(names, strings.Fields(line)[0])
	}
	return names
}

// A lan is a switch with a DHCP server, of both versions, at lan0.
type lan struct {
	t      *testing.T
	ns     *netns.Namespace
	server *leasetest.Dnsmasq
	ports  int
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{t: t, ns: netnstest.New(t)}
	leasetest.IP(t, l.ns, "link add lan0 type bridge", "addr add 10.66.0.1/24 dev lan0", "addr add fd00:66::1/64 dev lan0 nodad", "link set lan0 up")
	// A bridge carries nothing before it has a port that does.
	leasetest.IP(t, l.ns, "link add idle0 type veth peer name idle1", "link set idle0 master lan0 up", "link set idle1 up")
	leasetest.AwaitRunning(t, l.ns, "lan0")
	l.server = leasetest.StartDnsmasq(t, l.ns,
		"--dhcp-range=10.66.0.100,10.66.0.199,255.255.255.0,1h", "--dhcp-range=fd00:66::100,fd00:66::1ff,64,1h", "--no-ping")
	return l
}

// plug connects a machine: its uplink is up0.
func (l *lan) plug(m *machine) {
	l.t.Helper()
	port := fmt.Sprintf("port%d", l.ports)
	l.ports++
	leasetest.IP(l.t, l.ns, "link add "+port+" type veth peer name up0 netns "+leasetest.Path(m.host), "link set "+port+" master lan0 up")
	leasetest.IP(l.t, m.host, "link set up0 up")
}

// onLAN is a wish for a NIC on the machine's uplink, in container n, by DHCP.
func onLAN(card nic.ID, mac nic.MAC, n int) nic.Wanted {
	return nic.Wanted{
		NIC: card, Claim: "clm-0000000000000001", Epoch: 1, Network: "lan", Container: fmt.Sprintf("c%04d", n), Turn: 1,
		Device: nic.Device{Kind: nic.Veth, MAC: mac, Bridge: nic.Bridge{Name: "nf-lan", Owned: true, Uplinks: []string{"up0"}}},
		Owner:  nic.Owner{Node: "here", Kind: nic.OwnerContainer, Sandbox: id(n), Interface: "eth0"},
		Layer3: nic.Layer3{DHCP: true, DefaultRoute: true, IPv6: true, IPv6Mode: nic.IPv6DHCP, Isolated: true},
	}
}

// kinds counts a server's words by kind.
func (l *lan) kinds(words ...string) string {
	n := map[string]int{}
	for _, word := range words {
		n[word] = l.server.Count(word + "(")
	}
	var out []string
	for _, word := range slices.Sorted(maps.Keys(n)) {
		out = append(out, fmt.Sprintf("%s %d", word, n[word]))
	}
	return strings.Join(out, ", ")
}

// process starts one in a namespace, which ends with the test.
func process(t *testing.T, ns *netns.Namespace) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is only that it was killed
	})
	return cmd.Process.Pid
}
