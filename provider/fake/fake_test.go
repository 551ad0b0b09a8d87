package fake_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	left  = nic.Place{Node: "left", Instance: "i-left"}
	right = nic.Place{Node: "right", Instance: "i-right"}
)

func slow() fake.Options {
	return fake.Options{
		Latency:         fake.Latency{Create: 2 * time.Second, Attach: 5 * time.Second, Detach: 7 * time.Second, Delete: 3 * time.Second},
		Lag:             10 * time.Second,
		CallTime:        100 * time.Millisecond,
		Instances:       []nic.InstanceID{left.Instance, right.Instance},
		NICsPerInstance: 4,
	}
}

func spec(id nic.ID, drawsMACs bool) nic.Spec {
	s := nic.Spec{NIC: id, Network: "web", Tenant: "default", Node: left.Node}
	if !drawsMACs {
		s.MAC = nic.NewMAC()
	}
	return s
}

func TestConformance(t *testing.T) {
	lazy := slow()
	lazy.DrawsMACs = true
	for name, opts := range map[string]fake.Options{
		"AtOnce":           {NICsPerInstance: 3, Instances: slow().Instances},
		"SlowAndDrawsMACs": lazy,
		"Slow":             slow(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providertest.RunBubble(t, func(*testing.T) *providertest.Rig {
				p := fake.New(opts)
				p.Plant(fake.Foreign{ProviderID: "eni-1", Instance: left.Instance}, fake.Foreign{ProviderID: "eni-2"})
				return &providertest.Rig{
					Provider: p,
					Places:   [2]nic.Place{left, right},
					Spec:     func(id nic.ID) nic.Spec { return spec(id, opts.DrawsMACs) },
					Settle:   func(*testing.T) { time.Sleep(500 * time.Millisecond) },
					Fail:     p.Fail,
					Lose:     p.Lose,
					SetOff:   p.SetOff,
				}
			})
		})
	}
}

// run gives the test a fake in a bubble.
func run(t *testing.T, o fake.Options, test func(t *testing.T, p *fake.Provider)) {
	synctest.Test(t, func(t *testing.T) { test(t, fake.New(o)) })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantState(t *testing.T, p *fake.Provider, id nic.ID, want nic.State) {
	t.Helper()
	if got := must(p.Get(t.Context(), id))[id].State; got != want {
		t.Errorf("state %q; want %q", got, want)
	}
}

// attached makes a NIC and plugs it in left.
func attached(t *testing.T, p *fake.Provider) nic.ID {
	t.Helper()
	id := nic.NewID()
	must(p.Create(t.Context(), spec(id, false)))
	time.Sleep(time.Minute)
	must(p.Attach(t.Context(), id, left))
	time.Sleep(time.Minute)
	wantState(t, p, id, nic.StateAttached)
	return id
}

func TestStatesTakeTheirTime(t *testing.T) {
	o := slow()
	o.Lag, o.CallTime = 0, 0
	run(t, o, func(t *testing.T, p *fake.Provider) {
		id := nic.NewID()
		must(p.Create(t.Context(), spec(id, false)))
		for _, step := range []struct {
			begin        func() error
			during, then nic.State
			takes        time.Duration
		}{
			{func() error { return nil }, nic.StateCreating, nic.StateAvailable, o.Latency.Create},
			{func() error { _, err := p.Attach(t.Context(), id, left); return err }, nic.StateAttaching, nic.StateAttached, o.Latency.Attach},
			{func() error { return p.Detach(t.Context(), id, left.Instance) }, nic.StateDetaching, nic.StateAvailable, o.Latency.Detach},
			{func() error { return p.Delete(t.Context(), id) }, nic.StateDeleting, "", o.Latency.Delete},
		} {
			if err := step.begin(); err != nil {
				t.Fatal(err)
			}
			wantState(t, p, id, step.during)
			time.Sleep(step.takes - time.Nanosecond)
			wantState(t, p, id, step.during)
			time.Sleep(time.Nanosecond)
			wantState(t, p, id, step.then)
		}
	})
}

func TestF04_YoungNICIsInvisible(t *testing.T) {
	o := fake.Options{Lag: 10 * time.Second}
	run(t, o, func(t *testing.T, p *fake.Provider) {
		id := nic.NewID()
		asked := spec(id, false)
		first := must(p.Create(t.Context(), asked))
		time.Sleep(o.Lag - time.Nanosecond)
		wantState(t, p, id, "")
		if all := must(p.List(t.Context())); len(all) != 0 {
			t.Errorf("List shows a young NIC: %v", all)
		}
		if _, err := p.Attach(t.Context(), id, left); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("Attach of a young NIC: %v", err)
		}
		if again := must(p.Create(t.Context(), asked)); again.ProviderID != first.ProviderID {
			t.Errorf("Create made a second NIC: %+v, then %+v", first, again)
		}
		time.Sleep(time.Nanosecond)
		wantState(t, p, id, nic.StateAvailable)
	})
}

func TestF03_LostReplyHasItsEffect(t *testing.T) {
	run(t, fake.Options{}, func(t *testing.T, p *fake.Provider) {
		id := nic.NewID()
		asked := spec(id, false)
		p.Lose(fake.OpCreate)
		if _, err := p.Create(t.Context(), asked); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("lost reply: %v", err)
		}
		wantState(t, p, id, nic.StateAvailable)
		must(p.Create(t.Context(), asked))
		if got, want := p.Counts()[fake.OpCreate], (fake.Counts{Calls: 2, Errors: 1, Effects: 1}); got != want {
			t.Errorf("counts %+v; want %+v", got, want)
		}
	})
}

func TestCallCancelledOnItsWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  time.Duration
		effect bool
	}{
		{"on its way there", 400 * time.Millisecond, false},
		{"on its way back", 600 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, fake.Options{CallTime: time.Second}, func(t *testing.T, p *fake.Provider) {
				ctx, cancel := context.WithTimeout(t.Context(), c.after)
				defer cancel()
				id := nic.NewID()
				_, err := p.Create(ctx, spec(id, false))
				if !errors.Is(err, provider.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if _, there := must(p.Get(t.Context(), id))[id]; there != c.effect {
					t.Errorf("NIC is there: %t; want %t", there, c.effect)
				}
				if logged := p.Calls()[0]; logged.Effect != c.effect || logged.Err == nil {
					t.Errorf("logged as %+v", logged)
				}
			})
		})
	}
}

func TestFaultsStrikeOnceInTurn(t *testing.T) {
	run(t, fake.Options{}, func(t *testing.T, p *fake.Provider) {
		p.Fail(fake.OpList, &provider.Error{Kind: provider.ErrThrottled, Scope: provider.ScopeAccount, RetryAfter: time.Second, RequestID: "r-1"})
		p.Fail(fake.OpList, errors.New("boom"))
		_, first := p.List(t.Context())
		_, second := p.List(t.Context())
		_, third := p.List(t.Context())
		e, ok := errors.AsType[*provider.Error](first)
		if !ok || e.Kind != provider.ErrThrottled || e.RetryAfter != time.Second || e.RequestID != "r-1" || e.Scope != provider.ScopeAccount || e.Op != fake.OpList {
			t.Errorf("first: %#v", first)
		}
		if !errors.Is(second, provider.ErrUnknown) {
			t.Errorf("second: %v", second)
		}
		if third != nil {
			t.Errorf("third: %v", third)
		}
	})
}

func TestF06_ForeignNICsAreUntouched(t *testing.T) {
	run(t, fake.Options{NICsPerInstance: 2}, func(t *testing.T, p *fake.Provider) {
		id := nic.NewID()
		planted := []fake.Foreign{{ProviderID: "eni-9", Name: string(id), Instance: left.Instance}}
		p.Plant(planted...)
		_, attach := p.Attach(t.Context(), id, left)
		for op, err := range map[string]error{
			fake.OpAttach: attach,
			fake.OpDetach: p.Detach(t.Context(), id, left.Instance),
			fake.OpDelete: p.Delete(t.Context(), id),
		} {
			if !errors.Is(err, provider.ErrNotFound) {
				t.Errorf("%s of a foreign NIC: %v", op, err)
			}
		}
		if all := must(p.List(t.Context())); len(all) != 0 {
			t.Errorf("List shows foreign NICs: %v", all)
		}
		attached(t, p)
		if got := must(p.Limits(t.Context(), left.Instance)); got.Free != 0 || got.NICs != 2 {
			t.Errorf("limits %+v with a foreign NIC and one of ours in 2 slots", got)
		}
		if got := p.Foreign(); !slices.Equal(got, planted) {
			t.Errorf("foreign NICs are %v; planted %v", got, planted)
		}
	})
}

func TestF10_StuckDetaching(t *testing.T) {
	run(t, fake.Options{Latency: fake.Latency{Detach: time.Second}}, func(t *testing.T, p *fake.Provider) {
		id := attached(t, p)
		p.Stick(id)
		if err := p.Detach(t.Context(), id, left.Instance); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		wantState(t, p, id, nic.StateDetaching)
		p.Unstick(id)
		wantState(t, p, id, nic.StateAvailable)
	})
}

func TestF12_AttachFallsBackSilently(t *testing.T) {
	run(t, fake.Options{Latency: fake.Latency{Attach: time.Second}}, func(t *testing.T, p *fake.Provider) {
		id := nic.NewID()
		must(p.Create(t.Context(), spec(id, false)))
		p.Bounce(id)
		must(p.Attach(t.Context(), id, left))
		wantState(t, p, id, nic.StateAttaching)
		time.Sleep(time.Second)
		wantState(t, p, id, nic.StateAvailable)
		must(p.Attach(t.Context(), id, right))
		time.Sleep(time.Second)
		wantState(t, p, id, nic.StateAttached)
	})
}

func TestF17_Quota(t *testing.T) {
	run(t, fake.Options{Quota: 1}, func(t *testing.T, p *fake.Provider) {
		first, second := nic.NewID(), nic.NewID()
		must(p.Create(t.Context(), spec(first, false)))
		_, err := p.Create(t.Context(), spec(second, false))
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrExhausted || e.Scope != provider.ScopeAccount {
			t.Errorf("over the quota: %v", err)
		}
		if err := p.Delete(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		must(p.Create(t.Context(), spec(second, false)))
	})
}

func TestMACsAreDrawnByOneSideOnly(t *testing.T) {
	for _, draws := range []bool{true, false} {
		p := fake.New(fake.Options{DrawsMACs: draws})
		if _, err := p.Create(t.Context(), spec(nic.NewID(), !draws)); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("DrawsMACs %t and the wrong side drew: %v", draws, err)
		}
		seen, err := p.Create(t.Context(), spec(nic.NewID(), draws))
		if err != nil || seen.MAC.IsZero() {
			t.Errorf("DrawsMACs %t: %+v, %v", draws, seen, err)
		}
	}
}

func TestLogIsInOrderOfEffect(t *testing.T) {
	run(t, fake.Options{CallTime: time.Second}, func(t *testing.T, p *fake.Provider) {
		id := attached(t, p)
		if _, err := p.Attach(t.Context(), id, right); !errors.Is(err, provider.ErrElsewhere) {
			t.Fatal(err)
		}
		var got []fake.Call
		for _, c := range p.Calls() {
			if c.Op == fake.OpAttach {
				got = append(got, c)
			}
		}
		if len(got) != 2 || !got[0].Effect || got[0].Err != nil || got[0].Where != left.Instance || got[0].Instance != left.Instance ||
			got[1].Effect || got[1].Err == nil || got[1].Where != left.Instance || got[1].State != nic.StateAttached || !got[1].At.After(got[0].At) {
			t.Errorf("log of attaching: %+v", got)
		}
	})
}
