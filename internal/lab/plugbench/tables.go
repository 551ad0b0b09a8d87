//go:build linux

package plugbench

import (
	"fmt"
	"strconv"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// What the project promises.
const (
	overVirsh  = 1.1     // times virsh --live --config, at p50
	noStall    = 5000000 // µs, of any detach
	overDocker = 3.0     // times docker0's packets per second, expected
)

func promises(tables []figures.Table) (list []figures.Promise) {
	find := func(title, name string) *figures.Row { return figures.RowOf(tables, title, name) }
	if w := find(attach, virshLive); w != nil && w.Ratio > 0 {
		list = append(list, w.AtMost("attach until the guest sees the link, to `virsh --live`, p50", overVirsh))
	}
	if w := find(attach, virshBoth); w != nil && w.Ratio > 0 {
		list = append(list, w.AtMost("the same to `virsh --live --config`, which does as much", overVirsh))
	}
	for _, measure := range []string{detach, frozen} {
		if w := find(measure, ours); w != nil {
			list = append(list, figures.Promise{
				What: "longest of " + strconv.Itoa(len(w.Values)) + ": " + measure,
				Is:   figures.Number(w.Max) + " ms", Want: "less than 5 s", Kept: w.Max < noStall/1000, Sure: true,
			})
		}
	}
	if w := find(cycle, ours); w != nil {
		list = append(list, figures.Promise{What: "cycles of one MAC that lost or doubled it", Is: fmt.Sprintf("%d of %d", w.Failed, len(w.All)), Want: "none", Kept: w.Failed == 0, Sure: true})
	}
	for _, kind := range []string{late, preplug} {
		if w, bare := find(reply, kind), find(started, noNetwork); w != nil && len(w.Values) > 0 {
			is := fmt.Sprintf("%s ms of %d", figures.Number(w.P50), len(w.Values))
			if bare != nil && len(bare.Values) > 0 {
				is += fmt.Sprintf("; docker start without a network alone takes %s ms", figures.Number(bare.P50))
			}
			list = append(list, figures.Promise{What: "request (docker start) to first ping reply, warm guest, p50: " + kind, Is: is, Want: figures.Told, Kept: true, Sure: true})
		}
	}
	if w := find(udpGot, pathDocker); w != nil && w.Ratio > 0 {
		list = append(list, w.AtLeast("packets/s of the hot-plugged NIC to docker0's", overDocker))
	}
	return list
}
