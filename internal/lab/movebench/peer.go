//go:build linux

package movebench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// What the peer outside does.
const (
	peerPort  = 7007
	peerEvery = 5 * time.Millisecond
)

// A peer sends datagrams to an address from the LAN and notes the answers.
type peer struct {
	conn net.Conn
	end  context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	answers []answer
}

// An answer is one that came, and the word of the program that gave it, which is
// another after every start.
type answer struct {
	at   time.Time
	word string
}

// A gap is a time in which the peer heard nothing.
type gap struct{ from, to time.Time }

func (g gap) took() time.Duration { return g.to.Sub(g.from) }

// ask begins to send. close ends it.
func (b *bench) ask(ctx context.Context, addr netip.Addr) (*peer, error) {
	p := &peer{}
	err := b.lan.Do(func() (err error) {
		p.conn, err = new(net.Dialer).DialContext(ctx, "udp", netip.AddrPortFrom(addr, peerPort).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	ctx, p.end = context.WithCancel(ctx)
	p.done.Go(func() { p.send(ctx) })
	p.done.Go(p.receive)
	return p, nil
}

func (p *peer) close() {
	p.end()
	_ = p.conn.Close() // a socket of datagrams holds nothing back
	p.done.Wait()
}

func (p *peer) send(ctx context.Context) {
	tick := time.NewTicker(peerEvery)
	defer tick.Stop()
	var packet [8]byte
	for n := uint64(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		binary.BigEndian.PutUint64(packet[:], n)
		_, _ = p.conn.Write(packet[:]) // that nobody is there is what is measured
	}
}

func (p *peer) receive() {
	var packet [64]byte
	for {
		n, err := p.conn.Read(packet[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= 8 {
			continue // refused, or nobody there
		}
		p.mu.Lock()
		p.answers = append(p.answers, answer{time.Now(), string(packet[8:n])})
		p.mu.Unlock()
	}
}

// heard returns the answers so far.
func (p *peer) heard() []answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers[:len(p.answers):len(p.answers)]
}

// steady is how long a program has to answer before and after a move: no gap that
// is longer than a few of the peer's own ticks may be the one that is looked for.
const steady = 300 * time.Millisecond

// patience is how long a peer may hear nothing.
const patience = 30 * time.Second

// await waits until another program than before has answered for a while, and
// returns its word.
func (p *peer) await(ctx context.Context, before string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(peerEvery)
	defer tick.Stop()
	for {
		all := p.heard()
		if n := len(all); n > 0 && all[n-1].word != before {
			word, first := all[n-1].word, n-1
			for first > 0 && all[first-1].word == word {
				first--
			}
			if all[n-1].at.Sub(all[first].at) >= steady {
				return word, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("no steady answer from %s by another program than %q within %s", p.conn.RemoteAddr(), before, patience)
		}
	}
}

// errBoth is two programs that answered at the same time.
var errBoth = errors.New("the program of before answered after that of afterwards")

// over is the gap between the last answer of one program and the first of another,
// and the longest gap of all from the order on.
func over(all []answer, before, after string, order time.Time) (change, longest gap, err error) {
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if g := (gap{a.at, b.at}); b.at.After(order) && g.took() > longest.took() {
			longest = g
		}
		switch {
		case a.word == after && b.word == before:
			return change, longest, errBoth
		case a.word == before && b.word == after:
			change = gap{a.at, b.at}
		}
	}
	if change.to.IsZero() {
		err = errors.New("no change of who answers was heard")
	}
	return change, longest, err
}
