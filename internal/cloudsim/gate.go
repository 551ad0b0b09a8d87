package cloudsim

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// An op is what the gate needs to know of a request beforehand.
type op struct {
	api string
	// ids are what the call is about, for faults; the first is what the log
	// says, unless the call made something. instance is the instance's.
	ids      []string
	instance string
	device   int
	// reads: it changes nothing. plain: it has neither filter nor id nor page.
	reads, plain bool
	// resources are for the policy; nil is "*". tags are those to be put on
	// what is made.
	resources func(*turn) []Resource
	tags      Tags
}

// A turn is one call's stay in the cloud, under its lock.
type turn struct {
	c      *Cloud
	call   Call
	now    time.Time
	faults []*planned
	entry  Entry
	about  *eni // whose state the log has before and after
}

// serve carries one call through the gate. do must change nothing before it
// has called effect, and nothing if that says no.
func serve[T any](ctx context.Context, c *Cloud, call Call, o op, do func(*turn) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	t := c.enter(call, o)
	if err := retry.Sleep(ctx, t.slow(false)); err != nil {
		return none, err // nothing was done, and nobody is there to be told
	}
	answer, err := pass(t, o, do)
	if late := retry.Sleep(ctx, t.slow(true)); late != nil {
		return none, late
	}
	return answer, err
}

// enter lets faults strike.
func (c *Cloud) enter(call Call, o op) *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.API = cmp.Or(call.Action, o.api) // as the face has it
	t := &turn{c: c, call: call, now: time.Now()}
	c.agenda.catchUp(t.now)
	if t.call.RequestID == "" {
		t.call.RequestID = c.requestID()
	}
	t.faults = c.strike(t.now, t.call, o)
	return t
}

// pass is the moment at which a call takes effect.
func pass[T any](t *turn, o op, do func(*turn) (T, error)) (answer T, err error) {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	t.now = time.Now()
	c.agenda.catchUp(t.now)
	t.entry = Entry{
		Time: t.now, API: t.call.API, RequestID: t.call.RequestID, Caller: t.call.Caller, DryRun: t.call.DryRun,
		Instance: o.instance, Device: o.device, Fault: names(t.faults),
	}
	if len(o.ids) > 0 {
		t.entry.Resource = o.ids[0]
	}
	err = t.admit(o)
	if err == nil {
		answer, err = do(t)
		if err == nil && o.reads && t.call.DryRun {
			err = refuse("dryrun")
		}
		if struck := t.strikeAfter(o); err == nil {
			err = struck
		}
	}
	if t.about != nil {
		t.entry.After = t.about.state()
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		t.entry.Code = refused.Code
		t.entry.throttled = refused.Key == "throttled" || refused.Code == refusals()["throttled"].Code || t.fault(Throttle) != nil
		if c.opts.Words != nil {
			t.entry.Code = c.opts.Words(t.call.API, refused)
		}
	}
	c.write(t.entry)
	if err != nil {
		var none T
		return none, err
	}
	return answer, nil
}

// admit is all that can stop a call before anybody looks at what it asks for.
func (t *turn) admit(o op) error {
	if t.call.Region != "" && t.call.Region != t.c.opts.Region {
		return refuse("region", t.call.Region)
	}
	if !t.take(o) {
		return refuse("throttled")
	}
	if err := t.strikeBefore(o); err != nil {
		return err
	}
	return t.allowed(o)
}

func (t *turn) allowed(o op) error {
	policy := t.c.opts.Policy
	if policy == nil {
		return nil
	}
	on := []Resource{{Type: "*"}}
	if o.resources != nil {
		on = o.resources(t)
	}
	if err := policy.Allow(t.call, on); err != nil {
		return denied(err)
	}
	if len(o.tags) == 0 {
		return nil
	}
	tagging := t.call
	tagging.API, tagging.Creating = "CreateTags", o.api
	for _, r := range on {
		if r.ID != "" {
			continue
		}
		if err := policy.Allow(tagging, []Resource{r}); err != nil {
			return denied(err)
		}
	}
	return nil
}

// denied is the refusal of what the policy does not allow.
func denied(err error) error {
	e := refuse("denied", err.Error())
	e.Because = err
	return e
}

// effect says that all is checked and the world changes now; or, of a dry run,
// that it would.
func (t *turn) effect() error {
	if t.call.DryRun {
		return refuse("dryrun")
	}
	t.entry.Effect = true
	return nil
}

// on names the interface that the log tells of.
func (t *turn) on(e *eni) {
	t.about = e
	t.entry.Resource, t.entry.Before = e.now.ID, e.state()
	if a := e.now.Attachment; a != nil && t.entry.Instance == "" {
		t.entry.Instance = a.Instance
	}
}

// sees is the time as of which the call reads.
func (t *turn) sees() time.Time {
	at := t.now.Add(-t.c.opts.Lag.Callers[t.call.Caller])
	for _, f := range t.faults {
		if f.Verb == StaleDescribe {
			at = at.Add(-f.Delay.D())
		}
	}
	return at
}

func names(faults []*planned) string {
	var all []string
	for _, f := range faults {
		all = append(all, f.Name)
	}
	return strings.Join(all, ",")
}
