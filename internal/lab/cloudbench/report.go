//go:build linux

package cloudbench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// The files that are written.
const (
	figuresName = "bench-cloud.csv"
	reportName  = "bench-cloud.md"
)

// What the project promises.
const (
	mostMutating  = 4    // of a cold start
	mostThrottled = 0.01 // of all calls
	leastClaims   = 200  // per second
	mostReads     = 0.1  // describes per claim of a crowd: some in a second, however many claims
)

const methods = `A real nicferryd with its store on the disk and the AWS SDK, over HTTP on loopback to the emulator of EC2
(` + "`nicferry-lab cloud`" + `, [cloudsim.md](cloudsim.md)), which is in the bench's own process. Its nodes are in that process
too: each speaks the agents' API on the controller's socket, watches, reads and reports as an agent does, and says at once that what
is wanted is so. So what is measured is the controller and its way with the cloud. What an agent does in the VM after that is in
[bench.md](bench.md) and [bench-vm.md](bench-vm.md). All times are real ones and none is scaled: where the cloud takes seconds,
many containers wait side by side. Creating takes 0.8 s, attaching 3 to 8 s and detaching 5 to 20 s, drawn evenly; nothing of that is
published by AWS, it is what people observe. The token buckets are those that EC2 documents, as far as they are known
(` + "`internal/cloudsim/buckets.tsv`" + `).`

// notes say what a measure's ends are.
var notes = map[string]string{
	waitCold: fmt.Sprintf("%d nodes start a container each at the same moment, and none of them has a NIC in reserve. From the container's asking until its node has the NIC. "+
		"The rivals are not those programs, but a driver in this bench that makes their calls in their order with their pauses, on an emulator of its own with the same times; the table of constants below is all that it has of them. "+
		"It is better off than they are: it calls without a wire, learns to the instant when a NIC has been created, and has no Kubernetes between a Pod and its start. amazon-vpc-cni-k8s gives a Pod an address of a shared NIC and not a NIC; its row is what a Pod waits for when the reserve is used up and a NIC has to come.", waitNodes),
	waitBeyond: "The same starts without the times that the cloud drew for creating and attaching: what each adds by looking too late, and nicferry by its wire, store and API.",
	waitWarm:   "The node has a NIC in reserve, and all nodes start a container at the same moment: API, store and watch, and no call of the cloud. The rivals hand out what they have in reserve from memory in their node's own daemon; that takes no time worth measuring, and is no row.",
	callsBurst: "As many as 10 on each node, all at the same moment. EC2's buckets let 5 attaches per second through after the first 50, so that the last of 200 cannot be there before some 35 s.",
	crowdSteps: "What each tenth of them waited for, as the controller tells it: `placed` and before it is the queue, `created` and `attached` are calls by the SDK with the looks between them, `bound` is the node's word.",
	crowdMeasure: fmt.Sprintf("%d claims, 2 on each node, %d of them waiting for their NICs at a time. The cloud does everything at once and throttles nobody, and the controller is told that it may call a thousand times as often as usual (`calls: 1000`). "+
		"Emulator, 1,000 nodes and controller share the machine's processors.", crowdClaims, crowdCallers),
}

// Tell computes the report from the figures alone and writes it to the directory, and
// to doc unless that is "". The error says how many starts failed.
func Tell(from string, m figures.Machine, dir, doc string) error {
	commit, all, err := figures.Read(from)
	if err != nil {
		return err
	}
	tables, failed := figures.Tables(all, ours)
	text := []byte(markdown(commit, m, all, tables))
	err = os.WriteFile(filepath.Join(dir, reportName), text, 0o644)
	if doc != "" {
		err = errors.Join(err, os.WriteFile(doc, text, 0o644))
	}
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d figures are of starts that did not come to their end; see %s", failed, filepath.Join(dir, reportName)))
	}
	return err
}

func markdown(commit string, m figures.Machine, all []figures.Record, tables []figures.Table) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Bench of a cloud, commit %s\n", commit)
	say("%s.\n\n%s\n", m.Where(all), methods)
	if shared := m.Shared(all); shared != "" {
		say("**%s**\n", shared)
	}
	b.WriteString(figures.Promised(promises(all, tables)))
	for _, title := range []string{callsCold, callsWarm} {
		if text := counted(all, title); text != "" {
			say("\n## %s\n\n%s", strings.ToUpper(title[:1])+title[1:], text)
		}
	}
	for _, t := range tables {
		b.WriteString(t.Markdown(notes[t.Title]))
		if text := counted(all, t.Title); text != "" {
			say("\n%s", text)
		}
		if t.Title == waitCold {
			say("\n%s", constantsTable())
		}
	}
	return b.String()
}

// counted is the table of what of a measure is no time.
func counted(all []figures.Record, title string) string {
	var b strings.Builder
	var done []string
	for _, r := range all {
		if r.Measure != title || r.Unit == "us" || slices.Contains(done, r.What) {
			continue
		}
		done = append(done, r.What)
		values := slices.Sorted(slices.Values(of(all, title, r.What)))
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d |\n", r.What, r.Unit, len(values), figures.Quantile(values, 0), figures.Median(values), figures.Quantile(values, 1))
	}
	if b.Len() == 0 {
		return ""
	}
	return "| what | unit | n | least | p50 | most |\n|---|---|---|---|---|---|\n" + b.String()
}

func constantsTable() string {
	var b strings.Builder
	b.WriteString("| rival | what | constant | source |\n|---|---|---|---|\n")
	for _, c := range constants() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.rival, c.what, c.value, c.source)
	}
	return b.String()
}

// of are the values of those that did well.
func of(all []figures.Record, title, what string) (values []int64) {
	for _, r := range all {
		if r.Measure == title && r.What == what && r.Fault == nil {
			values = append(values, r.Value)
		}
	}
	return values
}

func promises(all []figures.Record, tables []figures.Table) (list []figures.Promise) {
	add := func(what, is, want string, kept bool) {
		list = append(list, figures.Promise{What: what, Is: is, Want: want, Kept: kept, Sure: true})
	}
	if v := append(of(all, callsWarm, whatMutating), of(all, callsWarm, whatReads)...); len(v) > 0 {
		add("a warm start: calls, at most", fmt.Sprint(slices.Max(v)), "0", slices.Max(v) == 0)
	}
	if v := of(all, callsCold, whatMutating); len(v) > 0 {
		add("a cold start: mutating calls, at most", fmt.Sprint(slices.Max(v)), fmt.Sprintf("at most %d", mostMutating), slices.Max(v) <= mostMutating)
	}
	if calls := sum(of(all, callsBurst, "all")); calls > 0 {
		share := float64(sum(of(all, callsBurst, "throttled"))) / float64(calls)
		add(callsBurst+": throttled calls", fmt.Sprintf("%.2f %%", 100*share), fmt.Sprintf("at most %.0f %%", 100*mostThrottled), share <= mostThrottled)
	}
	if v := of(all, crowdMeasure, "claims per second"); len(v) > 0 {
		add(crowdMeasure+", buckets off: claims per second, p50", fmt.Sprint(figures.Median(v)), fmt.Sprintf("at least %d", leastClaims), figures.Median(v) >= leastClaims)
		reads := float64(figures.Median(of(all, crowdMeasure, whatReads))) / crowdClaims
		add(crowdMeasure+", buckets off: describes per claim", fmt.Sprintf("%.3f", reads), "none per claim", reads <= mostReads)
	}
	for _, r := range rivals() {
		if w := figures.RowOf(tables, waitCold, r.name); w != nil && w.Ratio > 0 {
			list = append(list, w.AtMost("cold: from start to ready, to "+r.name+", p50", 1))
		}
	}
	if w := figures.RowOf(tables, waitWarm, ours); w != nil && len(w.Values) > 0 {
		list = append(list, figures.Promise{
			What: waitWarm, Is: fmt.Sprintf("p50 %s ms, p99 %s ms of %d", figures.Number(w.P50), figures.Number(w.P99), len(w.Values)), Want: figures.Told, Kept: true, Sure: true,
		})
	}
	return list
}

func sum(values []int64) (all int64) {
	for _, v := range values {
		all += v
	}
	return all
}
