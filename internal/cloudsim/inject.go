package cloudsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Planned is a fault and what has come of it.
type Planned struct {
	Fault
	// Matched and Struck are numbers of calls.
	Matched int `json:"matched"`
	Struck  int `json:"struck"`
}

type planned struct {
	Planned
	since time.Time
	held  []*event // transitions that are stuck until it is cleared
}

// active says whether a fault is in force at a time.
func (f *planned) active(now time.Time) bool { return f.For == 0 || now.Before(f.since.Add(f.For.D())) }

// spent says whether a fault can strike no more.
func (f *planned) spent(now time.Time) bool {
	most := f.Count
	if most == 0 && f.For == 0 {
		most = 1
	}
	return !f.active(now) || most > 0 && f.Struck >= most
}

// standing says whether a fault is about the cloud, and not about calls.
func (f *planned) standing() bool {
	return f.Verb == ClockSkew || f.Verb == StrictValidation || f.Verb == ForeignObjects
}

// Inject plans faults, all or none, and returns their names.
func (c *Cloud) Inject(faults ...Fault) ([]string, error) {
	var wrong []error
	for _, f := range faults {
		wrong = append(wrong, f.Check())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.agenda.catchUp(now)
	var ids []string
	var foreign []Foreign
	for n := range faults {
		f := &faults[n]
		if f.Name == "" {
			c.drawn++
			f.Name = fmt.Sprintf("%s-%d", f.Verb, c.drawn)
		}
		if slices.Contains(ids, f.Name) || slices.ContainsFunc(c.faults, func(p *planned) bool { return p.Name == f.Name }) {
			wrong = append(wrong, fmt.Errorf("fault %s: there is one of this name; clear it first", f.Name))
		}
		ids = append(ids, f.Name)
		foreign = append(foreign, f.Foreign...)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if _, err := c.plant(now, foreign); err != nil {
		return nil, err
	}
	for _, f := range faults {
		if f.Verb != ForeignObjects {
			c.faults = append(c.faults, &planned{Planned: Planned{Fault: f}, since: now})
		}
	}
	return ids, nil
}

// Clear takes back the named faults, or all for none named: they strike no
// more, and what they hold goes on. It returns how many there were.
func (c *Cloud) Clear(names ...string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.agenda.catchUp(now)
	n := 0
	c.faults = slices.DeleteFunc(c.faults, func(f *planned) bool {
		if len(names) > 0 && !slices.Contains(names, f.Name) {
			return false
		}
		for _, e := range f.held {
			e.at = now
			c.agenda.put(e)
		}
		n++
		return true
	})
	return n
}

// Faults are those that can still strike or hold something.
func (c *Cloud) Faults() []Planned {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Planned
	for _, f := range c.faults {
		held := slices.ContainsFunc(f.held, func(e *event) bool { return !e.dead })
		if held || !f.spent(time.Now()) {
			all = append(all, f.Planned)
		}
	}
	return all
}

// strike counts the faults that a call matches and returns those that strike it.
func (c *Cloud) strike(now time.Time, call Call, o op) []*planned {
	c.faults = slices.DeleteFunc(c.faults, func(f *planned) bool { return f.spent(now) && len(f.held) == 0 })
	if len(c.faults) == 0 {
		return nil
	}
	ids := c.expand(append([]string{o.instance}, o.ids...))
	var struck []*planned
	for _, f := range c.faults {
		if f.standing() || f.spent(now) || !f.matches(call, ids) {
			continue
		}
		f.Matched++
		if f.Matched >= f.Nth {
			f.Struck++
			struck = append(struck, f)
		}
	}
	return struck
}

func (f *planned) matches(call Call, ids []string) bool {
	return (f.API == "" || like(f.API, call.API)) && (f.Caller == "" || f.Caller == call.Caller) &&
		(f.Resource == "" || slices.ContainsFunc(ids, func(id string) bool { return id != "" && like(f.Resource, id) }))
}

// expand adds to ids what belongs to them: the interface of an attachment, its
// instance, subnet, token and tags, and the tags of all others.
func (c *Cloud) expand(ids []string) []string {
	all := slices.Clone(ids)
	for _, id := range ids {
		e := c.enis[id]
		if e == nil {
			e = c.attachments[id]
		}
		if e != nil {
			all = append(all, e.now.ID, e.now.Subnet, e.now.Token)
			all = append(all, marks(e.now.Tags)...)
			if a := e.now.Attachment; a != nil {
				all = append(all, a.ID, a.Instance)
			}
		}
		if i := c.instances[id]; i != nil {
			all = append(all, marks(i.Tags)...)
		}
		if s := c.subnets[id]; s != nil {
			all = append(all, marks(s.Tags)...)
		}
	}
	return slices.DeleteFunc(all, func(id string) bool { return strings.TrimSpace(id) == "" })
}
