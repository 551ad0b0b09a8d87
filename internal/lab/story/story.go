//go:build linux

// Package story tells what a demo does, step by step with its time, and keeps
// its figures.
package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
)

// Options shape a run.
type Options struct {
	Bin  string    // required: the directory of nicferry's programs
	Out  io.Writer // required: where the story is told
	JSON string    // optional: a file for the figures
	// Progress is told how what takes long goes on. Optional.
	Progress io.Writer
	// Plant leaves a veth behind, so that the check at the end can be seen to
	// fail.
	Plant bool
}

// Figures are what a run measured.
type Figures struct {
	Steps []Step                    `json:"steps"`
	Pings map[string]lab.PingResult `json:"pings"`
	Facts []Fact                    `json:"facts"`
	Left  []string                  `json:"left"`
	// Seconds is the whole run's time.
	Seconds float64 `json:"seconds"`
}

// A Step is one line of the story.
type Step struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
	Result  string  `json:"result"`
}

// A Fact is one line of the table at the end.
type Fact struct {
	What  string `json:"what"`
	Value string `json:"value"`
	// Want is what it had to be; empty for what is only told.
	Want string `json:"want,omitempty"`
}

// A Scene does one thing of the story and says what came of it.
type Scene struct {
	What string
	Play func(context.Context) (string, error)
}

// ErrLeft means that something was left behind.
var ErrLeft = errors.New("something was left behind")

// A Story is one run.
type Story struct {
	Options
	Figures Figures

	begin time.Time
}

// New begins a run.
func New(opts Options) *Story {
	return &Story{Options: opts, begin: time.Now(), Figures: Figures{
		Steps: []Step{}, Pings: map[string]lab.PingResult{}, Facts: []Fact{}, Left: []string{},
	}}
}

// Run tells the story and writes the figures. It returns nil only if tell does.
func (s *Story) Run(ctx context.Context, tell func(context.Context) error) error {
	err := tell(ctx)
	s.Figures.Seconds = time.Since(s.begin).Seconds()
	if err == nil {
		s.table()
	}
	if s.JSON != "" {
		err = errors.Join(err, s.write())
	}
	if err == nil {
		fmt.Fprintf(s.Out, "\nAll of it worked, and nothing was left behind. %.1f s in all.\n", s.Figures.Seconds)
	}
	return err
}

// Play plays the scenes in order, up to the first that fails.
func (s *Story) Play(ctx context.Context, scenes ...Scene) error {
	for _, scene := range scenes {
		begin := time.Now()
		fmt.Fprintf(s.Out, "%6.1f s  %s\n", begin.Sub(s.begin).Seconds(), scene.What)
		stop := s.wait(begin)
		result, err := scene.Play(ctx)
		stop()
		if err != nil {
			return fmt.Errorf("%s: %w", scene.What, err)
		}
		took := time.Since(begin)
		s.Figures.Steps = append(s.Figures.Steps, Step{What: scene.What, Seconds: took.Seconds(), Result: result})
		for i, line := range strings.Split(result, "\n") {
			sign := "→"
			if i > 0 {
				sign = " "
			}
			fmt.Fprintf(s.Out, "          %s %s\n", sign, line)
		}
	}
	return nil
}

// stillEvery is how often it is told that a scene is still on.
const stillEvery = 15 * time.Second

// wait tells every while that a scene that began then is still on, until stop.
func (s *Story) wait(begin time.Time) (stop func()) {
	if s.Progress == nil {
		return func() {}
	}
	var telling sync.WaitGroup
	over := make(chan struct{})
	telling.Go(func() {
		again := time.NewTicker(stillEvery)
		defer again.Stop()
		for {
			select {
			case <-over:
				return
			case now := <-again.C:
				fmt.Fprintf(s.Progress, "          · %.0f s so far\n", now.Sub(begin).Seconds())
			}
		}
	})
	return func() {
		close(over)
		telling.Wait()
	}
}

// Fact keeps a line for the table at the end. Want is what the value had to be,
// empty for what is only told.
func (s *Story) Fact(what, value, want string) {
	s.Figures.Facts = append(s.Figures.Facts, Fact{What: what, Value: value, Want: want})
}

// NothingLeft tells what differs from before, in all that was looked at.
func (s *Story) NothingLeft(where, looks string, left []string) error {
	if len(left) == 0 {
		fmt.Fprintf(s.Out, "          ✓ %s is as it was: %s\n", where, looks)
		return nil
	}
	s.Figures.Left = append(s.Figures.Left, left...)
	for _, l := range left {
		fmt.Fprintf(s.Out, "          ✗ %s: %s\n", where, l)
	}
	return fmt.Errorf("%s: %w", where, ErrLeft)
}

// Leak is the command that leaves a veth behind, for Plant.
func Leak() []string {
	return []string{"ip", "link", "add", "planted0", "type", "veth", "peer", "name", "planted1"}
}

// Interrupted is the error of a run whose context has ended.
func Interrupted(ctx context.Context) error {
	return fmt.Errorf("interrupted, everything is taken away again: %w", ctx.Err())
}

func (s *Story) table() {
	if len(s.Figures.Facts) == 0 {
		return
	}
	fmt.Fprintf(s.Out, "\n%-58s %-28s %s\n", "", "MEASURED", "WANTED")
	for _, f := range s.Figures.Facts {
		fmt.Fprintln(s.Out, strings.TrimRight(fmt.Sprintf("%-58s %-28s %s", f.What, f.Value, f.Want), " "))
	}
}

func (s *Story) write() error {
	text, err := json.MarshalIndent(s.Figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.JSON, append(text, '\n'), 0o644)
}

// Until asks again and again until ask has an answer, within a deadline.
func Until[T any](ctx context.Context, what string, within time.Duration, ask func() (T, bool, error)) (T, error) {
	var last error
	for end := time.Now().Add(within); time.Now().Before(end); {
		answer, ok, err := ask()
		if ok {
			return answer, nil
		}
		last = err
		if retry.Sleep(ctx, 10*time.Millisecond) != nil {
			break
		}
	}
	var none T
	return none, errors.Join(fmt.Errorf("waited %s for %s", within, what), last, ctx.Err())
}
