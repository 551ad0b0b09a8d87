//go:build linux

// Command bench measures what the agent does against the kernel's own time and
// against what people would use instead, in turn, in one run on one machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/retry"
)

// limit bounds the whole; when it nears, there are fewer rounds.
const limit = 12 * time.Minute

// options are the command line's.
type options struct {
	out    string // where the figures go
	doc    string // where the report goes too; may be empty
	bin    string // nicferryd, nicferry-agent and nicferry
	cni    string // the CNI plugins
	commit string
	rounds int
	nics   int // in the crowd; 0 leaves it out
	force  bool
	count  bool // this is the process that counts messages
}

func main() {
	var o options
	flag.StringVar(&o.out, "out", "build/bench", "`directory` for the figures")
	flag.StringVar(&o.doc, "doc", "", "`file` to write the report to, besides the one in -out")
	flag.StringVar(&o.bin, "bin", "bin", "`directory` of nicferry's programs")
	flag.StringVar(&o.cni, "cni", "build/bench/cni", "`directory` of the CNI plugins")
	flag.StringVar(&o.commit, "commit", "unknown", "what is measured")
	flag.IntVar(&o.rounds, "n", 100, "rounds of each measure")
	flag.IntVar(&o.nics, "nics", 100, "NICs under lease in the crowd, 0 for no crowd")
	flag.BoolVar(&o.force, "force", false, "measure on a busy machine too")
	flag.BoolVar(&o.count, "count", false, "count the messages of one attach and print them (used by bench itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.count {
		return countOne(ctx, os.Stdout)
	}
	m, err := idle(ctx, o.force)
	if err != nil {
		return err
	}
	// Tools are started with other directories than ours.
	for _, dir := range []*string{&o.out, &o.bin, &o.cni} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	file, err := figures.Create(filepath.Join(o.out, "attach.csv"), o.commit)
	if err != nil {
		return err
	}
	if err := measure(ctx, o, file); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	m.Stolen()
	to := []string{filepath.Join(o.out, "report.md")}
	if o.doc != "" {
		to = append(to, o.doc)
	}
	return tell(filepath.Join(o.out, "attach.csv"), m, to...)
}

// patience is how long an idle machine is waited for: what built us may have
// been what kept it busy.
const patience = 90 * time.Second

// idle looks at the machine once it is idle, or refuses to measure.
func idle(ctx context.Context, force bool) (figures.Machine, error) {
	for end := time.Now().Add(patience); ; {
		m, err := figures.Look()
		if err != nil || force || m.Busy() == "" {
			return m, err
		}
		if time.Now().After(end) {
			return m, fmt.Errorf("%s: figures would be worth nothing; end what keeps it busy, or give FORCE=1", m.Busy())
		}
		fmt.Fprintf(os.Stderr, "bench: %s, waiting\n", m.Busy())
		if err := retry.Sleep(ctx, 10*time.Second); err != nil {
			return m, err
		}
	}
}

// measure takes all measures, one after the other.
func measure(ctx context.Context, o options, file *figures.File) error {
	end := time.Now().Add(limit)
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.startCNI(ctx, o.cni); err != nil {
		return err
	}
	if err := count(ctx, file); err != nil {
		return err
	}
	if o.nics > 0 {
		if err := crowd(ctx, o, file); err != nil {
			return err
		}
	}
	// What is left is for the rounds, half each.
	half := time.Now().Add(time.Until(end) / 2)
	if err := w.rounds(ctx, file, static, staticTools(), o.rounds, half); err != nil {
		return err
	}
	if err := w.rounds(ctx, file, lease, dhcpTools(), o.rounds, end); err != nil {
		return err
	}
	return w.left(ctx)
}
