//go:build linux

package migrate

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/netns"
)

// echoPort is where containers answer.
const echoPort = 7007

// peerEvery is how often the peer asks.
const peerEvery = 5 * time.Millisecond

// A peer outside sends datagrams to an address and notes the answers.
type peer struct {
	conn net.Conn
	end  context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	sent    int
	answers []answer
}

// An answer is one that came: when, and from which start of the container's
// program.
type answer struct {
	at  time.Time
	who string
}

// A gap is the time between the last answer before it and the first after it.
type gap struct {
	from, to time.Time
	// Before and after are who answered.
	before, after string
}

func (g gap) took() time.Duration { return g.to.Sub(g.from) }

func (g gap) String() string {
	return fmt.Sprintf("%d ms from %s to %s", g.took().Milliseconds(), g.before, g.after)
}

// newPeer begins to send from the LAN of the fleet.
func newPeer(ctx context.Context, f *fleet.Fleet, addr netip.Addr) (*peer, error) {
	ns, err := netns.Open(f.LAN.NetNS())
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	p := &peer{}
	err = ns.Do(func() (err error) {
		p.conn, err = new(net.Dialer).DialContext(ctx, "udp", netip.AddrPortFrom(addr, echoPort).String())
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, p.end = context.WithCancel(context.WithoutCancel(ctx))
	p.done.Go(func() { p.send(ctx) })
	p.done.Go(func() { p.receive(ctx) })
	return p, nil
}

func (p *peer) send(ctx context.Context) {
	tick := time.NewTicker(peerEvery)
	defer tick.Stop()
	var packet [8]byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		p.sent++
		binary.BigEndian.PutUint64(packet[:], uint64(p.sent))
		p.mu.Unlock()
		_, _ = p.conn.Write(packet[:]) // who does not answer may say so: that is what is measured
	}
}

func (p *peer) receive(ctx context.Context) {
	var packet [64]byte
	for ctx.Err() == nil {
		_ = p.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := p.conn.Read(packet[:])
		if err != nil || n <= 8 {
			continue // refused, or nobody there
		}
		p.mu.Lock()
		p.answers = append(p.answers, answer{at: time.Now(), who: string(packet[8:n])})
		p.mu.Unlock()
	}
}

// heard waits for an answer that is sent for after now.
func (p *peer) heard(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	p.mu.Lock()
	before := len(p.answers)
	p.mu.Unlock()
	tick := time.NewTicker(peerEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s within %s", p.conn.RemoteAddr(), within)
		}
		p.mu.Lock()
		now := len(p.answers)
		p.mu.Unlock()
		if now > before+1 {
			return nil
		}
	}
}

// gaps are those in which nobody answered for longer than that, longest first.
func (p *peer) gaps(longer time.Duration) []gap {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []gap
	for i := 1; i < len(p.answers); i++ {
		a, b := p.answers[i-1], p.answers[i]
		if b.at.Sub(a.at) > longer {
			found = append(found, gap{from: a.at, to: b.at, before: a.who, after: b.who})
		}
	}
	slices.SortFunc(found, func(a, b gap) int { return int(b.took() - a.took()) })
	return found
}

// changes are the gaps after which somebody else answered, in order.
func (p *peer) changes() []gap {
	all := slices.DeleteFunc(p.gaps(0), func(g gap) bool { return g.before == g.after })
	slices.SortFunc(all, func(a, b gap) int { return a.from.Compare(b.from) })
	return all
}

// crossed is a start of the program that answered after a later one had: two were
// there at once. Empty if there is none.
func (p *peer) crossed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	over := map[string]bool{}
	for i := 1; i < len(p.answers); i++ {
		if before, now := p.answers[i-1].who, p.answers[i].who; before != now {
			if over[now] {
				return now
			}
			over[before] = true
		}
	}
	return ""
}

// close ends the sending.
func (p *peer) close() {
	p.end()
	p.done.Wait()
	p.conn.Close()
}
