//go:build linux

package movebench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// The files that are written.
const (
	figuresName = "bench-move.csv"
	reportName  = "bench-move.md"
	nicPlot     = "bench-move-nic.svg"
	allPlot     = "bench-move-container.svg"
)

// What the project promises, in times of the rival's median.
const (
	overFloor  = 1.5
	overScript = 1.0
)

const (
	guestWord = "TCG guests: their processors are emulated. Read ratios, not absolute figures; a guest on KVM is many times faster."
	methods   = "Two guests on one switch, with a Docker engine and an agent each. A peer outside sends a datagram every 5 ms, and a program in the container answers each. Rivals take turns in shuffled order, once each in a round, there and next time back; what a run did wrong makes it a failure and no figure. Ratios are of medians, with 95 % confidence from a bootstrap over rounds."
)

// notes say what a measure's ends are.
var notes = map[string]string{
	nicSilence: "The longest time between two answers. Both containers run, before and afterwards. The floor is the least that must be done: `virsh detach-device`, `virsh attach-device` once that is back, and in the guest a script that has waited for the link since before it began: one `ip link set netns`, one `ip -batch` that sets link and address. It looks after nothing: not whether the NIC came out clean, not whether anybody else has the address, and nothing is left to go back by when it fails.",
	nicCommand: "nicferry: until all is recorded and the claims are the new container's. The floor: until its last command is back.",
	nicSteps:   "As the move's record has them. Silence begins within `nic-out` and ends within `nic-in`.",
	allSilence: "Stopping the one container and starting the other included. Both are made before the silence begins. The script does `docker stop`, `virsh detach-device`, `virsh attach-device`, `docker start`, and then `ip` and `arping`, each when the one before is back.",
	allCommand: "nicferry: also making the container on the other guest, and removing the old one at the end. The script makes and removes none.",
	allSteps:   "As the move's record has them; what is copied (image, volumes) is nothing here. The NIC is unplugged and plugged in within `start`, which overlaps it.",
}

// Tell computes the report from the figures alone and writes it to the directory,
// with its plots. The error says how many runs failed.
func Tell(from string, m figures.Machine, dir string) error {
	commit, all, err := figures.Read(from)
	if err != nil {
		return err
	}
	tables, failed := figures.Tables(all, ours)
	files := map[string]string{
		reportName: markdown(commit, m, all, tables),
		nicPlot:    plot(tables, all, nicSilence),
		allPlot:    plot(tables, all, allSilence),
	}
	for name, text := range files {
		if text == "" {
			continue // that part was not measured
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d figures are of runs that did not do what they should; see %s", failed, filepath.Join(dir, reportName)))
	}
	return err
}

func markdown(commit string, m figures.Machine, all []figures.Record, tables []figures.Table) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Bench of moves between two guests, commit %s\n", commit)
	say("**%s**\n\n%s.\n\n%s\n", guestWord, m.Where(all), methods)
	for _, title := range []string{nicSilence, allSilence} {
		if w := figures.RowOf(tables, title, ours); w != nil {
			say("%d rounds of: %s.\n", len(w.All), title)
		}
	}
	if shared := m.Shared(all); shared != "" {
		say("**%s**\n", shared)
	}
	b.WriteString(figures.Promised(promises(tables)))
	for _, t := range tables {
		b.WriteString(t.Markdown(notes[t.Title]))
		switch t.Title {
		case nicSilence:
			say("\n![When the peer heard nothing, round by round](%s)", nicPlot)
		case allSilence:
			say("\n![When the peer heard nothing, round by round](%s)", allPlot)
		}
	}
	return b.String()
}

func promises(tables []figures.Table) (list []figures.Promise) {
	if w := figures.RowOf(tables, nicSilence, byFloor); w != nil && w.Ratio > 0 {
		list = append(list, w.AtMost("`nicferry move-nic`: silence, to the floor, p50", overFloor))
	}
	if w := figures.RowOf(tables, allSilence, byScript); w != nil && w.Ratio > 0 {
		list = append(list, w.AtMost("`nicferry migrate`: last reply to first reply, to the script, p50", overScript))
	}
	for _, title := range []string{nicSilence, allSilence} {
		if w := figures.RowOf(tables, title, oursDeaf); w != nil && len(w.Values) > 0 {
			list = append(list, figures.Promise{
				What: title + ": " + oursDeaf, Is: fmt.Sprintf("%s ms of %d", figures.Number(w.P50), len(w.Values)), Want: figures.Told, Kept: true, Sure: true,
			})
		}
	}
	return list
}
