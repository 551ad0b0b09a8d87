// Package events remembers the last things that happened, for people to read and follow.
package events

import (
	"container/list"
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/nicferry/nicferry/internal/api"
)

// The bounds of a log.
const (
	// kept is how many events are remembered, unless the options say other.
	kept = 10_000
	// together is how long after it happened the same is counted with it.
	together = 10 * time.Minute
	// maxText bounds one text of an event, in bytes. They quote what users and
	// providers wrote.
	maxText = 2 << 10
)

// Options are the parts of a Log; all are optional.
type Options struct {
	Kept int              // how many events are remembered; default 10,000
	Now  func() time.Time // default time.Now
}

// A Log keeps the last events. All methods may be called concurrently, and Add
// waits for no reader.
type Log struct {
	opts   Options
	stream string

	mu    sync.Mutex                  // guards what follows
	order *list.List                  // of *entry, by Seq
	same  map[api.Event]*list.Element // by what it says and of what
	of    map[string]*list.List       // of elements of order, by Seq, by node
	most  string                      // the only node that may have more than half
	last  uint64
	moved chan struct{} // closed and replaced at every event
}

// An entry is an event that is kept.
type entry struct {
	api.Event
	lost uint64        // how many between the one before and this are not kept
	mine *list.Element // in its node's
}

// New makes an empty log, with a name that no other has.
func New(opts Options) *Log {
	if opts.Kept == 0 {
		opts.Kept = kept
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Log{
		opts: opts, stream: strings.ToLower(rand.Text()[:12]),
		order: list.New(), same: map[api.Event]*list.Element{}, of: map[string]*list.List{}, moved: make(chan struct{}),
	}
}

// Add notes that e happens now. Its Seq, At, First and Count are worked out
// here; an empty Type is normal.
func (l *Log) Add(e api.Event) {
	e.Seq, e.At, e.First, e.Count = 0, time.Time{}, time.Time{}, 0
	if e.Type == "" {
		e.Type = api.EventNormal
	}
	for _, text := range []*string{&e.Message, &e.Node, &e.Container, &e.Network, &e.Tenant, (*string)(&e.Reason)} {
		*text = clip(*text)
	}
	now := l.opts.Now().UTC().Round(0)
	l.mu.Lock()
	defer l.mu.Unlock()
	key := e
	l.last++
	e.Seq, e.At = l.last, now
	before := l.same[key]
	if before != nil {
		old := before.Value.(*entry)
		if now.Sub(old.At) <= together {
			e.First, e.Count = old.First, max(old.Count, 1)+1
			if old.Count == 0 {
				e.First = old.At
			}
		} else {
			before = nil
		}
	}
	l.same[key] = l.push(e)
	if before != nil {
		l.remove(before, 0) // the new one tells all that it did
	}
	for l.order.Len() > l.opts.Kept {
		l.drop()
	}
	close(l.moved)
	l.moved = make(chan struct{})
}

// push puts an event at the end. The caller holds the lock.
func (l *Log) push(e api.Event) *list.Element {
	kept := &entry{Event: e}
	at := l.order.PushBack(kept)
	if l.of[e.Node] == nil {
		l.of[e.Node] = list.New()
	}
	kept.mine = l.of[e.Node].PushBack(at)
	if !l.half(l.most) && l.half(e.Node) {
		l.most = e.Node
	}
	return at
}

// half says whether a node has more than half of all that is kept. What is of no
// node is the controller's own.
func (l *Log) half(node string) bool {
	return node != "" && l.of[node] != nil && 2*l.of[node].Len() > l.opts.Kept
}

// remove takes an event out, and notes in front of the next one that it and what
// was noted here are not kept. The caller holds the lock.
func (l *Log) remove(at *list.Element, lost uint64) {
	e, next := at.Value.(*entry), at.Next()
	l.order.Remove(at)
	if next != nil {
		next.Value.(*entry).lost += e.lost + lost
	}
	mine := l.of[e.Node]
	if mine.Remove(e.mine); mine.Len() == 0 {
		delete(l.of, e.Node)
	}
}

// drop forgets the oldest event, or that of the node that has more than half: one
// that makes events without end drives out its own. The caller holds the lock.
func (l *Log) drop() {
	oldest := l.order.Front()
	if l.half(l.most) {
		oldest = l.of[l.most].Front().Value.(*list.Element)
	}
	l.remove(oldest, 1)
	key := oldest.Value.(*entry).Event
	key.Seq, key.At, key.First, key.Count = 0, time.Time{}, time.Time{}, 0
	if l.same[key] == oldest {
		delete(l.same, key)
	}
}

// After returns up to limit events that are newer than the one numbered after,
// 0 for no limit. Of another stream than this log's all are newer, and so they are
// of a number that this one has not reached.
func (l *Log) After(stream string, after uint64, limit int) api.Events {
	l.mu.Lock()
	defer l.mu.Unlock()
	after = l.known(stream, after)
	out := api.Events{Stream: l.stream, Items: []api.Event{}, Last: l.last}
	from, seen := l.order.Back(), after
	for from != nil && from.Prev() != nil && from.Prev().Value.(*entry).Seq > after {
		from = from.Prev()
	}
	for ; from != nil; from = from.Next() {
		e := from.Value.(*entry)
		if e.Seq <= after {
			continue
		}
		if limit > 0 && len(out.Items) >= limit {
			break
		}
		if stream == l.stream { // who knows none of it has missed nothing
			out.Missed += min(e.lost, e.Seq-seen-1)
		}
		seen = e.Seq
		out.Items = append(out.Items, e.Event)
	}
	return out
}

// Wait returns nil once there is an event newer than the one numbered after, as
// After has it, or else ctx's error.
func (l *Log) Wait(ctx context.Context, stream string, after uint64) error {
	for {
		l.mu.Lock()
		newer, moved := l.last > l.known(stream, after), l.moved
		l.mu.Unlock()
		if newer {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stream names the log and its newest event.
func (l *Log) Stream() api.Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return api.Stream{Stream: l.stream, Last: l.last}
}

// known is the number after which a reader knows nothing. The caller holds the
// lock.
func (l *Log) known(stream string, after uint64) uint64 {
	if stream != "" && stream != l.stream || after > l.last {
		return 0
	}
	return after
}

// clip bounds a text, and makes it valid UTF-8.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
