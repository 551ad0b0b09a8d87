//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// A Watch is a ping that goes on until it is ended, and notes when each reply
// came.
type Watch struct {
	addr     netip.Addr
	interval time.Duration
	cmd      *exec.Cmd
	cancel   context.CancelFunc
	done     sync.WaitGroup
	stderr   bytes.Buffer

	mu      sync.Mutex
	replies []echo
}

// An echo is one reply.
type echo struct {
	seq int
	at  time.Time
}

// A Silence is the time between a reply and the next one, with the number of
// those that did not come in between.
type Silence struct {
	From, To time.Time
	Lost     int
}

// For is how long it was.
func (s Silence) For() time.Duration { return s.To.Sub(s.From) }

// WatchFrom begins to ping addr from where command leads, once per interval, of a
// millisecond at least. End must follow.
func WatchFrom(ctx context.Context, command func(context.Context, string, ...string) *exec.Cmd, addr netip.Addr, interval time.Duration) (*Watch, error) {
	if interval < time.Millisecond {
		return nil, fmt.Errorf("watch %s every %s: want 1ms between pings at least", addr, interval)
	}
	w := &Watch{addr: addr, interval: interval}
	ctx, w.cancel = context.WithCancel(ctx)
	w.cmd = command(ctx, "ping", "-n", "-D", "-l", "3", "-i", strconv.FormatFloat(interval.Seconds(), 'f', 3, 64), addr.String())
	w.cmd.Stderr = &w.stderr
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		w.cancel()
		return nil, fmt.Errorf("watch %s: %w", addr, err)
	}
	w.done.Go(func() { w.read(out) })
	return w, nil
}

// stamped is a reply with its time, such as "[1795281322.177513] 64 bytes from
// 10.0.0.1: icmp_seq=1 ttl=64 time=0.05 ms".
var stamped = regexp.MustCompile(`^\[(\d+)\.(\d{6})\] \d+ bytes from .* icmp_seq=(\d+) .*time=`)

func (w *Watch) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for round, last := 0, 0; lines.Scan(); {
		e, ok := parseEcho(lines.Text())
		if !ok {
			continue
		}
		const numbers = 1 << 16 // then ping begins anew
		if e.seq < last-numbers/2 {
			round++
		}
		last = e.seq
		e.seq += round * numbers
		w.mu.Lock()
		w.replies = append(w.replies, e)
		w.mu.Unlock()
	}
}

func parseEcho(line string) (echo, bool) {
	m := stamped.FindStringSubmatch(line)
	if m == nil {
		return echo{}, false
	}
	seconds, err := strconv.ParseInt(m[1], 10, 64)
	micros, err2 := strconv.ParseInt(m[2], 10, 64)
	seq, err3 := strconv.Atoi(m[3])
	return echo{seq, time.Unix(seconds, micros*1000)}, errors.Join(err, err2, err3) == nil
}

// Heard waits until a reply has come that was sent for after now.
func (w *Watch) Heard(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no reply from %s within %s", w.addr, within))
	defer cancel()
	const underWay = 3 // that many may be, as ping has them
	for first := w.count(); w.count() <= first+underWay; {
		if retry.Sleep(ctx, w.interval) != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (w *Watch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.replies)
}

// End ends the ping and says what was lost between its first and its last reply,
// and the silences, longest first. A second call says the same.
func (w *Watch) End() (PingResult, []Silence, error) {
	w.cancel()
	w.done.Wait()
	_ = w.cmd.Wait() // it is killed
	result, silences := silencesIn(w.replies)
	if result.Received == 0 {
		return result, nil, fmt.Errorf("watch %s: no reply: %s", w.addr, bytes.TrimSpace(w.stderr.Bytes()))
	}
	return result, silences, nil
}

// silencesIn counts in replies what did not come between them.
func silencesIn(replies []echo) (r PingResult, silences []Silence) {
	if len(replies) == 0 {
		return r, nil
	}
	first, last := replies[0], replies[0]
	seen := map[int]bool{first.seq: true}
	for _, e := range replies[1:] {
		silences = append(silences, Silence{From: last.at, To: e.at, Lost: max(0, e.seq-last.seq-1)})
		seen[e.seq] = true
		last = e
	}
	slices.SortStableFunc(silences, func(a, b Silence) int { return int(b.For() - a.For()) })
	lowest, highest := first.seq, first.seq
	for seq := range seen {
		lowest, highest = min(lowest, seq), max(highest, seq)
	}
	r.Received, r.Sent = len(seen), highest-lowest+1
	r.Lost, r.Duration = r.Sent-r.Received, last.at.Sub(first.at)
	return r, silences
}
