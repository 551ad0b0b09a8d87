package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Tenants take turns, and the nodes of one among themselves; one who gives up is
// passed over; one beyond the bound is turned away; and nothing is left in the
// end.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.places, turns.most, turns.waiting = 2, 1, 3
		var went []string
		begin := func(tenant, node string) {
			leave, err := turns.enter(t.Context(), tenant, node)
			if err != nil {
				t.Errorf("%s: %v", node, err)
				return
			}
			went = append(went, node)
			t.Cleanup(leave) // which does nothing a second time
		}
		first, err := turns.enter(t.Context(), "red", "r1")
		if err != nil {
			t.Fatal(err)
		}
		second, err := turns.enter(t.Context(), "blue", "b1")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			go func() {
				leave, err := turns.enter(t.Context(), "red", "r1")
				if err == nil {
					went = append(went, "r1")
					leave()
				}
			}()
		}
		synctest.Wait()
		if _, err := turns.enter(t.Context(), "red", "r1"); !errors.Is(err, errCrowded) {
			t.Errorf("a fourth waits: %v", err)
		}
		go begin("red", "r2")
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := turns.enter(ctx, "red", "r3")
			gaveUp <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: %v", err)
		}
		second() // blue's slot is no red's: it has its one
		synctest.Wait()
		if len(went) > 0 {
			t.Errorf("%v went although red has as much as it may", went)
		}
		first()
		synctest.Wait()
		if got := strings.Join(went, " "); got != "r1 r2" { // r2 stays, and with it red's one slot
			t.Errorf("went: %s", got)
		}
	})
}

// All who wait go, whichever way they come and go, and no slot is lost.
func TestTurnsLoseNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.places, turns.most, turns.waiting = 4, 3, 1000
		done := make(chan error, 300)
		for i := range 300 {
			ctx, cancel := context.WithCancel(t.Context())
			if i%3 == 0 {
				go cancel()
			} else {
				defer cancel()
			}
			go func() {
				leave, err := turns.enter(ctx, fmt.Sprintf("t%d", i%5), fmt.Sprintf("n%d", i%20))
				if err == nil {
					time.Sleep(time.Millisecond)
					leave()
				}
				done <- err
			}()
		}
		for range 300 {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if turns.running != 0 || len(turns.lines) != 0 || len(turns.order) != 0 {
			t.Errorf("left: %d run, %d lines, %v in order", turns.running, len(turns.lines), turns.order)
		}
	})
}
