package allocator

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Without a rate of the provider's, the first call that it throttles makes the
// gap between calls firstGap, each further one makes it half as long again, up
// to maxGap, and each call that it does not throttle a fiftieth shorter, until it
// is less than noGap and there is none.
const (
	firstGap = 200 * time.Millisecond
	maxGap   = 10 * time.Second
	noGap    = 20 * time.Millisecond
)

// A pacer lets calls of one verb through.
type pacer struct {
	node func(nic.ID) string
	wake func(nic.ID)

	mu sync.Mutex // guards all following fields
	// gap is the time between calls, 0 for none; least is that of the
	// provider's own rate, and burst how many it takes at once.
	gap, least time.Duration
	burst      float64
	tokens     float64
	at         time.Time // when tokens was right; later than now while nothing may pass
	calm       bool      // the last call was not throttled
	queues     map[string][]nic.ID
	nodes      []string             // those with a queue, whose turn is next first
	turns      map[nic.ID]time.Time // given, and not taken yet
	timer      *time.Timer
}

func newPacer(rate provider.Rate, node func(nic.ID) string, wake func(nic.ID)) *pacer {
	p := &pacer{node: node, wake: wake, queues: map[string][]nic.ID{}, turns: map[nic.ID]time.Time{}, at: time.Now()}
	if rate.PerSecond > 0 {
		// A little less than is allowed: a call arrives some time after it was counted.
		p.least = time.Duration(float64(time.Second) / rate.PerSecond * 1.05)
		p.gap, p.burst = p.least, float64(max(1, rate.Burst-1))
		p.tokens = p.burst
	}
	return p
}

// pass says whether the NIC's call may be made now. If not, the NIC is woken when
// it may.
func (p *pacer) pass(id nic.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, given := p.turns[id]; given {
		delete(p.turns, id)
		return true
	}
	p.refill()
	if p.gap == 0 {
		return true
	}
	if len(p.nodes) == 0 && p.open() {
		p.tokens--
		return true
	}
	p.enqueue(id)
	p.arm()
	return false
}

// book is pass for a call that is made somewhat later.
func (p *pacer) book(id nic.ID) bool {
	ok := p.pass(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok && p.gap > 0 {
		p.turns[id] = time.Now()
	}
	return ok
}

func (p *pacer) refill() {
	now := time.Now()
	if now.After(p.at) {
		if p.gap > 0 {
			// Turns that were given and not taken yet may all be taken at once; but
			// they never stop the others, whoever sits on them.
			p.tokens = min(max(1, p.burst-float64(len(p.turns))), p.tokens+float64(now.Sub(p.at))/float64(p.gap))
		}
		p.at = now
	}
}

// open says whether a call may be made now.
func (p *pacer) open() bool { return p.tokens >= 1 && !p.at.After(time.Now()) }

func (p *pacer) enqueue(id nic.ID) {
	node := p.node(id)
	if slices.Contains(p.queues[node], id) {
		return
	}
	if len(p.queues[node]) == 0 {
		p.nodes = append(p.nodes, node)
	}
	p.queues[node] = append(p.queues[node], id)
}

// arm has the next turn given when it is due.
func (p *pacer) arm() {
	if p.timer != nil || len(p.nodes) == 0 {
		return
	}
	wait := max(0, time.Until(p.at)) + max(0, time.Duration((1-p.tokens)*float64(p.gap)))
	p.timer = time.AfterFunc(wait+time.Microsecond, p.give)
}

// give gives turns for as many calls as there may be now.
func (p *pacer) give() {
	p.mu.Lock()
	var woken []nic.ID
	p.timer = nil
	p.refill()
	for id, given := range p.turns { // those who do not want it any more
		if time.Since(given) > turnAgain {
			delete(p.turns, id)
		}
	}
	for len(p.nodes) > 0 && (p.gap == 0 || p.open()) {
		node := p.nodes[0]
		id := p.queues[node][0]
		p.nodes, p.queues[node] = p.nodes[1:], p.queues[node][1:]
		if len(p.queues[node]) > 0 {
			p.nodes = append(p.nodes, node)
		} else {
			delete(p.queues, node)
		}
		p.tokens--
		p.turns[id] = time.Now()
		woken = append(woken, id)
	}
	p.arm()
	p.mu.Unlock()
	for _, id := range woken {
		p.wake(id)
	}
}

// refund takes a turn back that was given before that time and is not wanted.
func (p *pacer) refund(id nic.ID, before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if given, ok := p.turns[id]; ok && !given.After(before) {
		delete(p.turns, id)
		p.tokens++
		if p.timer != nil && p.timer.Stop() { // the next one need not wait for another
			p.timer = nil
			p.arm()
		}
	}
}

// heard learns from what a call came to.
func (p *pacer) heard(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refill()
	if !errors.Is(err, provider.ErrThrottled) {
		p.calm = true
		if p.gap = max(p.gap-p.gap/50, p.least); p.gap < noGap && p.least == 0 {
			p.gap = 0
		}
		return
	}
	p.tokens = 0
	wait := p.gap
	if e, ok := errors.AsType[*provider.Error](err); ok && e.RetryAfter > 0 {
		wait, p.tokens = e.RetryAfter, 1 // by then
	}
	if p.calm || p.gap == 0 { // those that were out together are one lesson
		p.gap = min(max(p.gap+p.gap/2, firstGap), maxGap)
		p.calm = false
	}
	if until := time.Now().Add(wait); until.After(p.at) {
		p.at = until
	}
}
