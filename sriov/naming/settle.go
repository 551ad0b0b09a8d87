//go:build linux

package naming

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/sriov"
)

// How long udev may take over VFs that have just come, and how long it is between two
// looks: what it changes back is seen at the second.
const (
	patience = 15 * time.Second
	between  = 300 * time.Millisecond
	// lateLooks is how often it is looked after all patience.
	lateLooks = 5
)

// ErrRestless: somebody else names the VFs too.
var ErrRestless = errors.New("names do not stay")

// Settle names VFs that have just been made, and looks until the names stay: udev may
// be at work on them. list is asked for the cards at each look. It errs for what cannot
// be named, and with ErrRestless for names that somebody changes back all the time.
func (n *Namer) Settle(ctx context.Context, list func() ([]sriov.PF, error), numbering sriov.Numbering) (Result, error) {
	return n.settle(ctx, list, numbering, patience, between)
}

func (n *Namer) settle(ctx context.Context, list func() ([]sriov.PF, error), numbering sriov.Numbering, patience, between time.Duration) (Result, error) {
	// What udev is not done with in time is named all the same, and looked at again.
	end := time.Now().Add(patience)
	named, late := 0, 0
	for first := true; ; first = false {
		pfs, err := list()
		if err != nil && pfs == nil {
			return Result{Named: named}, err
		}
		names, err := numbering.Names(pfs)
		if err != nil {
			return Result{Named: named}, err
		}
		patient := time.Now().Before(end)
		if !patient {
			late++
		}
		r, err := n.name(pfs, names, patient)
		changed := r.Named > 0
		named = max(named, r.Named)
		r.Named = named
		switch {
		case !changed && len(r.Waiting) == 0 && !first:
			return r, err
		case late == lateLooks:
			return r, errors.Join(err, fmt.Errorf("names of VFs were changed back again and again: %w; find out who names interfaces here, such as "+
				"a .link file with Name=, or NetworkManager", ErrRestless))
		}
		if err := retry.Sleep(ctx, between); err != nil {
			return r, fmt.Errorf("name VFs%s: %w", waiting(r), err)
		}
	}
}

func waiting(r Result) string {
	if len(r.Waiting) == 0 {
		return ""
	}
	return " (udev is at work on " + strings.Join(r.Waiting, ", ") + ")"
}
