package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func event(n int) api.Event {
	return api.Event{Reason: nic.Reason(fmt.Sprintf("R%d", n)), Message: "m"}
}

// told are the reasons and numbers of events, in their order.
func told(all []api.Event) string {
	var texts []string
	for _, e := range all {
		text := fmt.Sprintf("%d:%s", e.Seq, e.Reason)
		if e.Count > 0 {
			text += fmt.Sprintf("x%d", e.Count)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

func TestWhatIsRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	l := events.New(events.Options{Kept: 3})
	if got := l.After("", 0, 0); got.Items == nil || len(got.Items) != 0 || got.Last != 0 || got.Stream == "" {
		t.Errorf("an empty log has %+v", got)
	}
	for n := 1; n <= 5; n++ {
		l.Add(event(n))
	}
	stream := l.Stream().Stream
	for name, tc := range map[string]struct {
		stream string
		after  uint64
		limit  int
		want   string
		missed uint64
	}{
		"all":                            {"", 0, 0, "3:R3 4:R4 5:R5", 0},
		"the first":                      {"", 0, 2, "3:R3 4:R4", 0},
		"the rest":                       {stream, 4, 0, "5:R5", 0},
		"none":                           {stream, 5, 0, "", 0},
		"one that has missed two":        {stream, 0, 0, "3:R3 4:R4 5:R5", 2},
		"one that has missed one":        {stream, 1, 0, "3:R3 4:R4 5:R5", 1},
		"one that has missed none":       {stream, 2, 0, "3:R3 4:R4 5:R5", 0},
		"one from another stream":        {"other", 4, 0, "3:R3 4:R4 5:R5", 0},
		"one from the future of ours":    {stream, 6, 0, "3:R3 4:R4 5:R5", 2},
		"one from no stream, with a seq": {"", 4, 0, "5:R5", 0},
	} {
		got := l.After(tc.stream, tc.after, tc.limit)
		if told(got.Items) != tc.want || got.Missed != tc.missed || got.Last != 5 || got.Stream != stream {
			t.Errorf("%s: got %s, %d missed, last %d; want %s, %d", name, told(got.Items), got.Missed, got.Last, tc.want, tc.missed)
		}
	}
	if other := events.New(events.Options{}).Stream().Stream; other == stream {
		t.Errorf("two logs have the name %s", other)
	}
}

// What happens again is counted, and moves to the end, for as long as it goes on.
func TestTheSameIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := events.New(events.Options{Kept: 3})
		begin := time.Now()
		l.Add(event(1))
		l.Add(event(2))
		time.Sleep(9 * time.Minute)
		l.Add(event(1))
		if got := told(l.After("", 0, 0).Items); got != "2:R2 3:R1x2" {
			t.Errorf("after one more: %s", got)
		}
		time.Sleep(9 * time.Minute)
		again := event(1)
		again.Seq, again.Count, again.At, again.First = 7, 7, begin, begin // which is not the caller's to say
		l.Add(again)
		all := l.After("", 2, 0).Items
		if told(all) != "4:R1x3" || !all[0].First.Equal(begin) || !all[0].At.Equal(time.Now()) || all[0].Type != api.EventNormal {
			t.Errorf("after another: %+v", all)
		}
		time.Sleep(10*time.Minute + 1)
		l.Add(event(1))
		other := event(1)
		other.Claim = "clm-1"
		l.Add(other)
		if got := told(l.After("", 0, 0).Items); got != "4:R1x3 5:R1 6:R1" {
			t.Errorf("later, and of another claim: %s", got)
		}
		l.Add(event(3)) // the old one is dropped, and the new one still counts
		l.Add(event(1))
		if got := told(l.After("", 0, 0).Items); got != "6:R1 7:R3 8:R1x2" {
			t.Errorf("at the end: %s", got)
		}
	})
}

// A node that makes events without end drives out its own, and no one else's; a
// reader is told of those that are missing between what it gets.
func TestANodeDrivesOutItsOwn(t *testing.T) {
	t.Parallel()
	l := events.New(events.Options{Kept: 6})
	of := func(node string, n int) api.Event {
		e := event(n)
		e.Node = node
		return e
	}
	l.Add(of("vm1", 1))
	l.Add(of("", 2))
	for n := 3; n <= 1000; n++ {
		l.Add(of("flood", n))
	}
	stream := l.Stream().Stream
	if got := l.After(stream, 0, 0); told(got.Items) != "1:R1 2:R2 997:R997 998:R998 999:R999 1000:R1000" || got.Missed != 994 {
		t.Fatalf("beside a flood: %s, %d missed", told(got.Items), got.Missed)
	}
	for _, tc := range []struct {
		after  uint64
		limit  int
		missed uint64
	}{{0, 2, 0}, {2, 1, 994}, {990, 0, 6}, {996, 0, 0}, {997, 0, 0}} {
		if got := l.After(stream, tc.after, tc.limit); got.Missed != tc.missed {
			t.Errorf("after %d, %d at most: %d missed, want %d", tc.after, tc.limit, got.Missed, tc.missed)
		}
	}
	l.Add(of("flood", 997)) // the same again, in front of which there are some missing
	if got := l.After(stream, 0, 0); told(got.Items) != "1:R1 2:R2 998:R998 999:R999 1000:R1000 1001:R997x2" || got.Missed != 994 {
		t.Errorf("with one counted: %s, %d missed", told(got.Items), got.Missed)
	}
	for n := 1002; n <= 1004; n++ { // others push out the flood's, until it has its half, and then the oldest
		l.Add(of("vm2", n))
	}
	if got := told(l.After("", 0, 0).Items); got != "999:R999 1000:R1000 1001:R997x2 1002:R1002 1003:R1003 1004:R1004" {
		t.Errorf("after some of another: %s", got)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := events.New(events.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- l.Wait(t.Context(), "", 0) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("there was nothing to wait for: %v", err)
		default:
		}
		l.Add(event(1))
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := l.Wait(ctx, l.Stream().Stream, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if err := l.Wait(ctx, "other", 1); err != nil { // even though its time is over: there is something
			t.Error(err)
		}
	})
}

// Writers wait for nobody; a reader that is slower than they are misses some, and
// is told how many at most. What it gets is in order, and nothing comes twice.
func TestASlowReaderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const writers, each, kept = 8, 2000, 50
	l := events.New(events.Options{Kept: kept})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				l.Add(api.Event{Reason: nic.Reason(fmt.Sprintf("W%d", w)), Message: fmt.Sprint(n)})
			}
		})
	}
	written := make(chan struct{})
	go func() { wg.Wait(); close(written) }()
	var after, got, missed uint64
	stream := l.Stream().Stream
	for after < writers*each {
		if err := l.Wait(t.Context(), stream, after); err != nil {
			t.Fatal(err)
		}
		more := l.After(stream, after, 7)
		missed += more.Missed
		for _, e := range more.Items {
			if e.Seq <= after {
				t.Fatalf("event %d after %d", e.Seq, after)
			}
			after = e.Seq
			got++
		}
	}
	<-written
	if got+missed != writers*each {
		t.Errorf("got %d and missed %d of %d", got, missed, writers*each)
	}
	if n := len(l.After("", 0, 0).Items); n != kept {
		t.Errorf("%d are kept, want %d", n, kept)
	}
}

// Others write the texts of events: none is too long to keep 10,000 of, and all
// are fit for JSON.
func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	l := events.New(events.Options{})
	l.Add(api.Event{Reason: "R", Message: strings.Repeat("é", 5000), Container: "\xff\x9b"})
	e := l.After("", 0, 0).Items[0]
	if len(e.Message) > 2100 || !utf8.ValidString(e.Message) || !utf8.ValidString(e.Container) {
		t.Errorf("kept %d bytes: %.40q… of %q", len(e.Message), e.Message, e.Container)
	}
}

func BenchmarkAddOfNodes(b *testing.B) {
	l := events.New(events.Options{})
	for n := range b.N {
		e := event(n)
		e.Node = []string{"vm1", "vm2", "flood", "flood"}[n%4]
		l.Add(e)
	}
}

func BenchmarkAdd(b *testing.B) {
	l := events.New(events.Options{})
	for n := range b.N {
		l.Add(event(n))
	}
}
