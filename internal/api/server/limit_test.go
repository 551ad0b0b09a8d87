package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// Each node has a rate of its own, whatever its tenant may do; a tenant's quota
// counts for all its nodes; people are never turned away. Each is told of once in a
// while, as an event.
func TestLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		happened := events.New(events.Options{})
		s := &server{Options: Options{
			Events:  happened,
			Log:     slog.New(slog.DiscardHandler),
			Tenants: []nic.Tenant{{Name: "small", Quota: nic.Quota{Requests: 10}}},
			TenantsOf: func(node string) []string {
				if node == "n3" || node == "n4" {
					return []string{"small"}
				}
				return nil
			},
		}}
		s.limits = newLimits(s.Tenants)
		as := func(peer mtls.Peer) context.Context { return context.WithValue(t.Context(), peerKey{}, peer) }
		passed := func(ctx context.Context, n int) (passed int) {
			for range n {
				err := s.limit(ctx)
				if r, ok := errors.AsType[reply](err); ok && r.status != http.StatusTooManyRequests {
					t.Errorf("refused with %d: %v", r.status, err)
				}
				if err == nil {
					passed++
				}
			}
			return passed
		}
		node := func(name string) context.Context { return as(mtls.Peer{Role: mtls.Node, Names: []string{name}}) }
		for _, step := range []struct {
			what       string
			ctx        context.Context
			calls, may int
		}{
			{"n1's burst", node("n1"), 10_000, nodeBurst},
			{"n2 beside it", node("n2"), nodeBurst, nodeBurst},
			{"n3 of a small tenant", node("n3"), 8, 8},
			{"n4 has what n3 left", node("n4"), 8, 2},
			{"an admin", as(mtls.Peer{Role: mtls.Admin}), 10_000, 10_000},
		} {
			if got := passed(step.ctx, step.calls); got != step.may {
				t.Errorf("%s: %d of %d calls passed, want %d", step.what, got, step.calls, step.may)
			}
		}
		time.Sleep(time.Second)
		if got := passed(node("n1"), 10_000); got != nodeRate {
			t.Errorf("a second later %d of n1's calls passed, want %d", got, nodeRate)
		}
		time.Sleep(tellLimit)
		passed(node("n1"), 10_000)
		told := happened.After("", 0, 0).Items
		for i, want := range []api.Event{
			{Tenant: "small", Node: "n4", Message: "tenant small may make 10 requests per second, and makes more"},
			{Tenant: nic.DefaultTenant, Node: "n1", Count: 2, Message: "node n1 may make 100 requests per second, and makes more"},
		} {
			if len(told) != 2 || told[i].Reason != nic.ReasonQuotaExceeded || told[i].Type != api.EventWarning || told[i].Count != want.Count ||
				told[i].Tenant != want.Tenant || told[i].Node != want.Node || told[i].Message != want.Message {
				t.Errorf("event %d of %+v, want %+v", i, told, want)
			}
		}
	})
}
