//go:build linux

// Command vfmove brings one VF into fresh network namespaces, as an agent does and by the
// fewest messages to the kernel that do it, and prints how long each took. The bench of
// VFs runs it in a guest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/slack"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/ferry"
)

func main() {
	pf := flag.String("pf", "", "the card's PCI address")
	index := flag.Int("vf", 0, "the number of its VF, which nobody has")
	rounds := flag.Int("rounds", 1, "how often each way is measured, after some that are not")
	limit := flag.Duration("limit", time.Minute, "how long all of it may take")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	if err := run(ctx, os.Stdout, *pf, *index, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "vfmove:", err)
		os.Exit(1)
	}
}

// The address and gateway that the VF gets.
var (
	addr    = netip.MustParsePrefix("10.200.0.77/24")
	gateway = netip.MustParseAddr("10.200.0.1")
)

// A mover has one VF, and nicferry's parts on its node as in an agent.
type mover struct {
	links *link.Handle // of the host
	maker *device.Maker
	ferry *ferry.Ferry
	id    nic.ID
	d     nic.Device
}

// warmUp is how many rounds are not measured: an agent has run for long, and its code and
// the kernel's are in the caches, which an emulated processor fills slowly.
const warmUp = 8

func run(ctx context.Context, out io.Writer, pf string, index, rounds int) (err error) {
	if err := slack.Take(); err != nil { // as an agent does
		return err
	}
	m, end, err := open(ctx, pf, index)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	ways := []struct {
		name string
		move func(context.Context, *netns.Namespace) (time.Duration, error)
	}{{"floor", m.bare}, {"held", m.held}, {"rebound", m.rebound}}
	for round := -warmUp; round < rounds; round++ {
		for _, i := range rand.Perm(len(ways)) {
			took, err := m.in(ctx, ways[i].move)
			if err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
			if round >= 0 {
				fmt.Fprintln(out, ways[i].name, took.Microseconds())
			}
		}
	}
	return nil
}

// open finds the VF and makes a NIC of it. end sets it back.
func open(ctx context.Context, pf string, index int) (m *mover, end func() error, err error) {
	undo := []func() error{}
	end = func() (err error) {
		for _, each := range slices.Backward(undo) {
			err = errors.Join(err, each())
		}
		return err
	}
	host, err := netns.Current()
	if err != nil {
		return nil, end, err
	}
	undo = append(undo, host.Close)
	m = &mover{id: nic.NewID()}
	if m.links, err = link.Open(host); err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error { m.links.Close(); return nil })
	if err := m.neighbour(); err != nil {
		return nil, end, err
	}
	undo = append(undo, m.alone)
	if m.maker, err = device.New(host); err != nil {
		return nil, end, err
	}
	undo = append(undo, m.maker.Close)
	if m.ferry, err = ferry.New(host, m.maker); err != nil {
		return nil, end, err
	}
	undo = append(undo, m.ferry.Close)
	notes, err := os.MkdirTemp("", "vfmove")
	if err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error { return os.RemoveAll(notes) })
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, end, err
	}
	setter, err := vf.New(vf.Options{Kernel: m.links, Bus: vf.Sysfs{}, Dir: notes, Boot: strings.TrimSpace(string(boot))})
	if err != nil {
		return nil, end, err
	}
	m.maker.UseFunctions(setter)
	if err := m.take(ctx, pf, index); err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error { return m.maker.Remove(context.WithoutCancel(ctx), m.id, m.d) })
	return m, end, m.maker.Ensure(ctx, m.id, m.d)
}

// near is a link that has a place for filters, as the NIC of any other container on the
// node: for the first one the kernel patches itself.
const near = "near0"

func (m *mover) neighbour() error {
	if err := m.links.AddPair(link.Pair{Name: near, PeerName: "near1"}); err != nil {
		return err
	}
	l, err := m.links.ByName(near)
	if err == nil {
		err = m.links.AddFilterPlace(l)
	}
	return err
}

func (m *mover) alone() error {
	l, err := m.links.ByName(near)
	if err == nil {
		err = m.links.Delete(l)
	}
	return err
}

// take makes the recipe: with a VLAN, and what else networks have by default.
func (m *mover) take(ctx context.Context, pf string, index int) error {
	pci, err := vf.Sysfs{}.Function(pf, index)
	if err != nil {
		return err
	}
	v := nic.VF{PCI: pci, PF: pf, Index: index, Set: nic.VFSettings{MAC: nic.NewMAC(), VLAN: &nic.VFVLAN{ID: 200}, SpoofCheck: new(true), Trust: new(false)}}
	links, err := m.links.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.PCI == pci {
			v.Name = l.Name
		}
	}
	if v.Name == "" {
		return fmt.Errorf("VF %s has no interface here", pci)
	}
	m.d = nic.Device{Kind: nic.SRIOV, MAC: v.Set.MAC, VF: v}
	was, err := m.maker.Former(ctx, m.id, m.d)
	if err == nil {
		m.d.VF.Was = was[0]
	}
	return err
}

// pause lets the kernel finish what the last move left it to do.
const pause = 50 * time.Millisecond

// in moves the VF into a fresh namespace one way, looks whether it is there as it should
// be, and takes it back.
func (m *mover) in(ctx context.Context, way func(context.Context, *netns.Namespace) (time.Duration, error)) (took time.Duration, err error) {
	ns, err := netns.New()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ns.Close(), retry.Sleep(ctx, pause)) }()
	if err := retry.Sleep(ctx, pause); err != nil {
		return 0, err
	}
	took, err = way(ctx, ns)
	if err == nil {
		err = m.check(ns)
	}
	err = errors.Join(err, m.ferry.Out(ctx, m.id, m.d, ns))
	if err == nil {
		err = m.maker.Ensure(ctx, m.id, m.d) // home, clean and with its MAC
	}
	return took, err
}

// bare is what nobody can do without: one message moves, renames and raises, one gives
// the address.
func (m *mover) bare(_ context.Context, ns *netns.Namespace) (time.Duration, error) {
	begin := time.Now()
	inside, err := link.Open(ns)
	if err != nil {
		return 0, err
	}
	defer inside.Close()
	l, err := m.links.ByName(m.d.VF.Name)
	if err != nil {
		return 0, err
	}
	if l, err = m.links.Move(l, inside, link.Change{Name: "eth0", Up: new(true)}); err != nil {
		return 0, err
	}
	err = inside.AddAddr(l, addr)
	return time.Since(begin), err
}

// held is what an agent does of a VF whose claim is held, when the container starts.
func (m *mover) held(ctx context.Context, ns *netns.Namespace) (time.Duration, error) {
	l3 := nic.Layer3{Addrs: []netip.Prefix{addr}, Gateways: []netip.Addr{gateway}, DefaultRoute: true}
	begin := time.Now()
	if err := m.maker.Ensure(ctx, m.id, m.d, ns); err != nil {
		return 0, err
	}
	l, err := m.ferry.In(ctx, m.id, m.d, ns, ferry.NewEntry("eth0", l3, false))
	if err != nil {
		return 0, err
	}
	err = m.ferry.Apply(ctx, ns, l.Index, l3)
	return time.Since(begin), err
}

// rebound is the same for a VF that has another MAC before: its driver is bound anew.
func (m *mover) rebound(ctx context.Context, ns *netns.Namespace) (time.Duration, error) {
	m.d.MAC = nic.NewMAC()
	m.d.VF.Set.MAC = m.d.MAC
	return m.held(ctx, ns)
}

// check demands what each way promises.
func (m *mover) check(ns *netns.Namespace) error {
	inside, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	l, err := inside.ByName("eth0")
	if err != nil {
		return err
	}
	if !l.Up || l.MAC != m.d.MAC {
		return fmt.Errorf("eth0 is up: %t, with MAC %s, want %s", l.Up, l.MAC, m.d.MAC)
	}
	all, err := inside.Addrs(l)
	if err == nil && !slices.ContainsFunc(all, func(a link.Addr) bool { return a.Prefix == addr }) {
		err = fmt.Errorf("eth0 has %v, want %s", all, addr)
	}
	return err
}
