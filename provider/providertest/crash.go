package providertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/provider"
)

var errCrash = errors.New("the controller crashed")

// A Crash is one of a controller, at one call of its ledger.
type Crash struct {
	after   bool // the call's effect took place
	nth     int
	reached bool
}

// CrashAtEveryCall has run show a NIC's life for each call that it makes of its ledger,
// with a controller that crashes before the call's effect, and after it. Fewer calls
// than least fail the test.
func CrashAtEveryCall(t *testing.T, least int, run func(t *testing.T, crash *Crash)) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for nth := 1; ; nth++ {
			c := &Crash{after: after, nth: nth}
			run(t, c)
			if c.reached {
				continue
			}
			if nth < least {
				t.Errorf("%s: there is no such call; want %d or more", c, least)
			}
			break
		}
	}
}

// String reads "crash after call 3".
func (c *Crash) String() string {
	if c.after {
		return fmt.Sprintf("crash after call %d", c.nth)
	}
	return fmt.Sprintf("crash before call %d", c.nth)
}

// Plan has the ledger's caller crash.
func (c *Crash) Plan(l *Ledger) {
	crash := func() error {
		c.reached = true
		return errCrash
	}
	if c.after {
		l.After(c.nth, crash)
	} else {
		l.Before(c.nth, crash)
	}
}

// Survive calls, and calls once more if that was when the controller crashed: restart
// makes a new one first.
func (c *Crash) Survive(restart func(), call func() error) error {
	err := call()
	if errors.Is(err, provider.ErrUnknown) {
		restart()
		err = call()
	}
	return err
}
