package announce

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

var (
	ourMAC   = nic.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
	otherMAC = nic.MAC{0x02, 0, 0x5e, 0x20, 0, 1}
	gwMAC    = nic.MAC{0x02, 0, 0x5e, 0x30, 0, 1}

	addr4 = netip.MustParsePrefix("10.0.0.5/24")
	addr6 = netip.MustParsePrefix("2001:db8::5/64")
	gw4   = netip.MustParseAddr("10.0.0.1")
	gw6   = netip.MustParseAddr("fe80::1")
)

// A lan is a broadcast domain in memory with one NIC of ours, whose hosts
// answer as kernels do. The NIC's own kernel is in it too: what it has for
// addresses, and its check of IPv6 ones.
type lan struct {
	mu     sync.Mutex
	hosts  map[netip.Addr]nic.MAC
	sent   []sent
	wires  []*memWire
	opened int
	// broken, when set, is what opening and sending answer.
	broken error
	// reflects: everything that we send comes back.
	reflects bool
	sight    Sight
	// early are the addresses announced while they were not on the NIC.
	early []netip.Addr
}

// sent is one frame of ours.
type sent struct {
	at    time.Time
	frame []byte
}

func newLAN() *lan { return &lan{hosts: map[netip.Addr]nic.MAC{}, sight: Sight{Running: true}} }

// set changes the lan under its lock.
func (l *lan) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *lan) open() (Wire, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, l.broken
	}
	w := &memWire{lan: l, in: make(chan []byte, 256), changed: make(chan struct{})}
	l.wires = append(l.wires, w)
	l.opened++
	return w, nil
}

// wiresOpen is how many there are now, and have ever been.
func (l *lan) wiresOpen() (now, ever int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.wires), l.opened
}

// put makes the NIC's addresses those, as the agent's loop does. IPv6 ones are
// tentative for a second, and then duplicate if a host has them.
func (l *lan) put(addrs []netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sight.Addrs = slices.DeleteFunc(slices.Clone(l.sight.Addrs), func(a link.Addr) bool { return !slices.Contains(addrs, a.Prefix) })
	for _, p := range addrs {
		if slices.ContainsFunc(l.sight.Addrs, func(a link.Addr) bool { return a.Prefix == p }) {
			continue
		}
		l.sight.Addrs = append(l.sight.Addrs, link.Addr{Prefix: p, Global: true, Tentative: p.Addr().Is6()})
		if p.Addr().Is6() {
			time.AfterFunc(time.Second, func() { l.endDAD(p) })
		}
	}
}

func (l *lan) endDAD(p netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, held := l.hosts[p.Addr()]
	l.sight.Addrs = slices.Clone(l.sight.Addrs)
	for i := range l.sight.Addrs {
		if a := &l.sight.Addrs[i]; a.Prefix == p {
			a.Tentative, a.Duplicate = false, held
		}
	}
}

// say puts a frame of somebody's on the wire.
func (l *lan) say(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wires {
		w.in <- frame
	}
}

type memWire struct {
	lan *lan
	in  chan []byte

	mu       sync.Mutex
	deadline time.Time     // guarded by mu
	changed  chan struct{} // guarded by mu
	closed   bool          // guarded by mu
}

func (w *memWire) Send(frame []byte) error {
	l := w.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	l.sent = append(l.sent, sent{time.Now(), slices.Clone(frame)})
	addr, announces := about(frame)
	if announces && !slices.ContainsFunc(l.sight.Addrs, func(a link.Addr) bool { return a.Prefix.Addr() == addr && !a.Tentative }) {
		l.early = append(l.early, addr)
	}
	if l.reflects {
		w.in <- slices.Clone(frame)
	}
	if answer := l.answer(frame); answer != nil {
		time.AfterFunc(time.Millisecond, func() { l.say(answer) })
	}
	return nil
}

// answer is what the holder of the address asked for says.
func (l *lan) answer(frame []byte) []byte {
	target, announces := about(frame)
	mac, held := l.hosts[target]
	if !held || announces {
		return nil
	}
	var answer []byte
	if target.Is4() {
		answer, _ = arpFrame(arp.OperationReply, mac, target, ourMAC, addr4.Addr())
	} else {
		answer, _ = ndpFrame(mac, target, allNodes, &ndp.NeighborAdvertisement{
			Override: true, TargetAddress: target,
			Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac.Hardware()}},
		})
	}
	return answer
}

// about is the address that a frame of ours asks for or announces.
func about(frame []byte) (target netip.Addr, announces bool) {
	if binary.BigEndian.Uint16(frame[12:]) == etherARP {
		var p arp.Packet
		if err := p.UnmarshalBinary(frame[etherHeader:]); err != nil {
			panic(err)
		}
		return p.TargetIP, p.SenderIP == p.TargetIP
	}
	m, err := ndp.ParseMessage(frame[etherHeader+ipv6Header:])
	if err != nil {
		panic(err)
	}
	if na, ok := m.(*ndp.NeighborAdvertisement); ok {
		return na.TargetAddress, true
	}
	return m.(*ndp.NeighborSolicitation).TargetAddress, false
}

func (w *memWire) Receive(buf []byte) (int, error) {
	for {
		w.mu.Lock()
		deadline, changed, closed := w.deadline, w.changed, w.closed
		w.mu.Unlock()
		if closed {
			return 0, os.ErrClosed
		}
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		var alarm <-chan time.Time
		if !deadline.IsZero() {
			alarm = time.After(time.Until(deadline))
		}
		select {
		case frame := <-w.in:
			return copy(buf, frame), nil
		case <-alarm:
		case <-changed:
		}
	}
}

func (w *memWire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

func (w *memWire) Look() (Sight, error) {
	w.lan.mu.Lock()
	defer w.lan.mu.Unlock()
	return w.lan.sight, w.lan.broken
}

func (w *memWire) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.lan.mu.Lock()
	defer w.lan.mu.Unlock()
	i := slices.Index(w.lan.wires, w)
	if i < 0 {
		return errors.New("closed twice")
	}
	w.lan.wires = slices.Delete(w.lan.wires, i, i+1)
	return nil
}

// A watched is a watcher in virtual time, driven as the agent's loop does it.
type watched struct {
	*Watcher
	t     *testing.T
	lan   *lan
	addrs []netip.Prefix
	start time.Time
	wakes int
}

// watch starts a watcher, and applies what is usable at once and whenever it
// wakes the loop.
func (l *lan) watch(t *testing.T, o Options) *watched {
	t.Helper()
	h := &watched{t: t, lan: l, addrs: o.Addrs, start: time.Now()}
	wake := make(chan struct{}, 1)
	o.Open, o.MAC = l.open, ourMAC
	o.Wake = func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	var err error
	if h.Watcher, err = Start(o); err != nil {
		t.Fatal(err)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	loop := func() {
		l.put(h.State().Usable(h.addrs))
		h.Applied()
	}
	loop()
	go func() {
		defer close(ended)
		for {
			select {
			case <-wake:
				h.wakes++
				loop()
			case <-quit:
				return
			}
		}
	}()
	t.Cleanup(func() {
		for range 2 {
			if err := h.Stop(context.Background()); err != nil { // the test's own context is over
				t.Error(err)
			}
		}
		close(quit)
		<-ended
		if len(l.early) > 0 {
			t.Errorf("announced while not on the NIC: %s", l.early)
		}
		if now, _ := l.wiresOpen(); now != 0 {
			t.Errorf("%d wires are open after Stop", now)
		}
	})
	return h
}

// after lets d pass, and everything that happens in it.
func (h *watched) after(d time.Duration) State {
	time.Sleep(d)
	synctest.Wait()
	return h.State()
}

// log names the frames sent so far and when, since the start.
func (h *watched) log() (kinds []string, at []time.Duration) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	for _, s := range h.lan.sent {
		kinds = append(kinds, kind(s.frame))
		at = append(at, s.at.Sub(h.start))
	}
	return kinds, at
}

// kind is "probe", "ask" or "tell", and the address.
func kind(frame []byte) string {
	target, announces := about(frame)
	if announces {
		return "tell " + target.String()
	}
	var wants bool
	if target.Is4() {
		wants = netip.AddrFrom4([4]byte(frame[28:32])).IsUnspecified()
	} else {
		wants = netip.AddrFrom16([16]byte(frame[22:38])).IsUnspecified()
	}
	if wants {
		return "probe " + target.String()
	}
	return "ask " + target.String()
}
