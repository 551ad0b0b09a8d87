package vmagent

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// contact is whether the controller answers, and since when it does not.
type contact struct {
	mu    sync.Mutex
	up    bool
	since time.Time
	err   error // of the last call in vain
}

// made notes that the controller has answered.
func (c *contact) made() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up, c.err = true, nil
}

// lost notes that it does not; nil is no news about why.
func (c *contact) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up || c.since.IsZero() {
		c.since = time.Now()
	}
	c.up = false
	if err != nil {
		c.err = err
	}
}

// Heard says whether the controller answers at present: nil, or why not. It is for
// whoever watches on the agent's behalf through outages. It may be called at any
// time.
func (a *Agent) Heard(err error) {
	if err == nil {
		a.contact.made()
		return
	}
	a.opts.Observer.AskFailed("watch")
	a.contact.lost(err)
}

// Ready returns an error while the agent serves no new container: no controller
// answers it. What containers have stays. It may be called at any time.
func (a *Agent) Ready(context.Context) error {
	a.contact.mu.Lock()
	defer a.contact.mu.Unlock()
	switch {
	case a.contact.up:
		return nil
	case a.contact.since.IsZero():
		return fmt.Errorf("the agent of node %s is starting: no controller has been heard of yet", a.opts.Node)
	case a.contact.err == nil:
		return fmt.Errorf("no controller has been heard of for %s; containers keep their NICs", time.Since(a.contact.since).Round(time.Second))
	}
	return fmt.Errorf("no controller has been heard of for %s; containers keep their NICs: %w",
		time.Since(a.contact.since).Round(time.Second), a.contact.err)
}
