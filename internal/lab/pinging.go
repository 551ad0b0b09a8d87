//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Pinging is a ping that goes on until it is ended.
type Pinging struct {
	addr    netip.Addr
	log     string
	process *Process
}

// StartPing has addr pinged from the segment once per interval, of a millisecond at
// least. The name is that of its log file, unlike that of any other program of the
// node.
func (s *Segment) StartPing(name string, addr netip.Addr, interval time.Duration) (*Pinging, error) {
	if interval < time.Millisecond {
		return nil, fmt.Errorf("ping %s every %s: want 1ms between them at least", addr, interval)
	}
	args := s.exec("ping", []string{"-n", "-l", "3", "-i", strconv.FormatFloat(interval.Seconds(), 'f', 3, 64), addr.String()})
	process, err := s.node.Spawn(Program{Name: name, Args: append([]string{"ip"}, args...)})
	if err != nil {
		return nil, err
	}
	return &Pinging{addr: addr, log: logPath(s.node.dir, name), process: process}, nil
}

// End ends the ping and says what was lost. The last few may still have been on
// their way, and are neither sent nor lost. Missing are the first of the lost, as
// numbers in order of sending.
func (p *Pinging) End(ctx context.Context) (result PingResult, missing []int, err error) {
	if err := p.process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return result, nil, err
	}
	if err := p.process.Wait(ctx); ctx.Err() != nil {
		return result, nil, err // else its exit status says what the replies do
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		return result, nil, fmt.Errorf("read replies of %s: %w", p.addr, err)
	}
	result, missing = countReplies(string(text))
	if result.Received == 0 {
		return result, nil, fmt.Errorf("ping %s: no reply: %.400q", p.addr, text)
	}
	return result, missing, nil
}

// reply is a line of ping's for one, such as "64 bytes from 10.0.0.1: icmp_seq=1
// ttl=64 time=0.05 ms".
var reply = regexp.MustCompile(`bytes from .* icmp_seq=(\d+) .*time=`)

// transmitted begins ping's summary.
var transmitted = regexp.MustCompile(`^(\d+) packets transmitted, `)

// onTheirWay is how many of the last may be without a reply when ping is ended.
const onTheirWay = 3

// countReplies counts the replies line by line. The duration is not known.
func countReplies(out string) (r PingResult, missing []int) {
	const most = 20
	seen := map[int]bool{}
	last, all := 0, 0
	for line := range strings.Lines(out) {
		if m := transmitted.FindStringSubmatch(line); m != nil {
			all, _ = strconv.Atoi(m[1])
		}
		if m := reply.FindStringSubmatch(line); m != nil {
			seq, _ := strconv.Atoi(m[1])
			seen[seq], last = true, max(last, seq)
		}
	}
	if r.Sent = last; all-last > onTheirWay {
		r.Sent = all
	}
	r.Received = len(seen)
	r.Lost = r.Sent - r.Received
	for seq := 1; seq <= r.Sent && len(missing) < most; seq++ {
		if !seen[seq] {
			missing = append(missing, seq)
		}
	}
	return r, missing
}
