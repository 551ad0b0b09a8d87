//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// cloudScenes are the lines of the story where the guests are a cloud's
// instances, in order.
func (s *show) cloudScenes() []story.Scene {
	return []story.Scene{
		{What: "vm1: docker run --network none --label nicferry.network=vpc … web: a cold start", Play: s.cold},
		{What: "nicferryd: from now on a NIC in reserve on each node, for network warm", Play: s.keepReserve},
		{What: "vm1: docker run … nicferry.network=warm … db: a warm start", Play: s.warm},
		{What: "ping between the containers, to the subnet's router and by way of it", Play: s.cloudAcross},
		{What: "vm1, web, db: ask " + s.vendor.Metadata + " for the keys of vm1's role", Play: s.metadata},
		{What: "nicferry migrate web --to vm2 --layer copy, under ping -i 0.01 from outside", Play: s.cloudThere},
		{What: "the cloud's control: throttle calls, lose replies", Play: s.breakIt},
		{What: "vm2: docker run … nicferry.network=public … app: a cold start meanwhile, with a public address", Play: s.coldBroken},
		{What: "nicferry migrate web --to vm1 --layer copy, under the same ping, meanwhile", Play: s.cloudBack},
		{What: "docker rm -f all of them, and no NICs in reserve any more", Play: s.cloudRemove},
	}
}

// mostCold is how many calls that change something a cold start may cost.
const mostCold = 4

// cold starts web, whose interface has to be made and attached first.
func (s *show) cold(ctx context.Context) (string, error) {
	card, took, cost, err := s.begin(ctx, "vm1", "web", "vpc", running...)
	if err != nil {
		return "", err
	}
	s.web = card
	if sum(cost.changes) > mostCold {
		return "", fmt.Errorf("the start took %s, want %d calls at most", counted(cost.changes), mostCold)
	}
	s.Fact("docker run → eth0 has its address, cold", seconds(took), "")
	s.Fact("  calls that change something", fmt.Sprint(sum(cost.changes)), fmt.Sprintf("%d at most", mostCold))
	return fmt.Sprintf("eth0 %s, MAC %s, both %[3]s's, %[4]s after docker run began, with %[3]s's latency;\n%[5]s and %[6]d describes",
		card.V4, card.MAC, s.vendor.Name, seconds(took), counted(cost.changes), cost.reads), nil
}

// keepReserve has a NIC in reserve on each node, and waits for them.
func (s *show) keepReserve(ctx context.Context) (string, error) {
	begin := time.Now()
	if err := s.lab.Reserve(ctx, true); err != nil {
		return "", err
	}
	for _, guest := range guests {
		if err := s.spareOn(ctx, guest); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s after its restart each of %s has one plugged in, held by nobody", seconds(time.Since(begin)), strings.Join(guests[:], " and ")), nil
}

// warm starts db, whose interface is there already.
func (s *show) warm(ctx context.Context) (string, error) {
	card, took, cost, err := s.begin(ctx, "vm1", "db", "warm", running...)
	if err != nil {
		return "", err
	}
	if sum(cost.changes) > 0 {
		return "", fmt.Errorf("the start took %s, want no call that changes something", counted(cost.changes))
	}
	s.Fact("docker run → eth0 has its address, warm", seconds(took), "")
	s.Fact("  calls that change something", "0", "0")
	return fmt.Sprintf("eth0 %s, %s after docker run began, without a call that changes something", card.V4, seconds(took)), nil
}

// cloudAcross pings from container to container and to the subnet's router, as
// the containers' own ping sees it.
func (s *show) cloudAcross(ctx context.Context) (string, error) {
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return "", err
	}
	var router []string
	for _, r := range s.vendor.Routers(about.Subnets[0]) {
		if !r.Addr().IsLinkLocalUnicast() { // which would want a name of its link
			router = append(router, r.Addr().String())
		}
	}
	router = append(router, "10.77.1.1", "fd77::1") // of other subnets: the way there is by the router
	targets := map[string][]string{"web": router, "db": router}
	for _, pair := range [][2]string{{"web", "db"}, {"db", "web"}} {
		claim, err := story.Claim(ctx, s.lab.CLI, pair[1])
		if err != nil {
			return "", err
		}
		for _, a := range given(claim) {
			targets[pair[0]] = append(targets[pair[0]], a.String())
		}
	}
	count := 0
	group, gctx := errgroup.WithContext(ctx)
	for container, addrs := range targets {
		count += len(addrs)
		group.Go(func() error { return s.reaches(gctx, "vm1", container, addrs...) })
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	s.Fact("pings between containers, to the router and by way of it", fmt.Sprintf("%d of %d answered", count, count), "all")
	return fmt.Sprintf("web ↔ db, and %s from each: all %d answer, IPv4 and IPv6", strings.Join(router, ", "), count), nil
}

func (s *show) cloudThere(ctx context.Context) (string, error) { return s.carried(ctx, "vm1", "vm2") }

func (s *show) cloudBack(ctx context.Context) (string, error) { return s.carried(ctx, "vm2", "vm1") }

// carried moves web with its interface, and tells what that cost.
func (s *show) carried(ctx context.Context, from, to string) (string, error) {
	claim, err := story.Claim(ctx, s.lab.CLI, "web")
	if err != nil {
		return "", err
	}
	eni, err := s.interfaceOf(ctx, claim.NIC)
	if err != nil {
		return "", err
	}
	before, err := s.mark(ctx)
	if err != nil {
		return "", err
	}
	result, err := s.migrate(ctx, from, to)
	if err != nil {
		return "", err
	}
	log, err := s.calls(ctx, before)
	if err != nil {
		return "", err
	}
	did := changes(log, eni)
	if did[vendors.Detach] != 1 || did[vendors.Attach] != 1 || did[vendors.Create]+did[vendors.Delete] != 0 {
		return "", fmt.Errorf("the move did %s to interface %s, want it detached and attached once", counted(did), eni)
	}
	return fmt.Sprintf("%s;\nit is the same interface %s: %s", result, eni, counted(did)), nil
}

// coldBroken starts app while calls are throttled and replies lost: one interface
// comes of it, with one public address.
func (s *show) coldBroken(ctx context.Context) (string, error) {
	before, err := s.mark(ctx)
	if err != nil {
		return "", err
	}
	card, took, cost, err := s.begin(ctx, "vm2", "app", "public", running...)
	if err != nil {
		return "", err
	}
	claim, err := s.claimed(ctx, "app", "the public address of app", func(c api.ClaimView) bool { return c.Identity.Public.IsValid() })
	if err != nil {
		return "", err
	}
	log, err := s.calls(ctx, before)
	if err != nil {
		return "", err
	}
	a := accounted(log, *s.vendor)
	if cost.changes[vendors.Create] != 1 || cost.changes[vendors.Attach] != 1 {
		return "", fmt.Errorf("the start did %s, want its interface made and attached once", counted(cost.changes))
	}
	s.Fact("the same, cold, calls throttled and replies lost", seconds(took), "")
	return fmt.Sprintf("eth0 %s, %s after docker run began, and from outside %s; on the way %d calls were throttled and %d replies lost;\n%s",
		card.V4, seconds(took), claim.Identity.Public, a.throttled, a.lost, counted(cost.changes)), nil
}

// cloudRemove removes all containers and the reserve, and waits until the
// controller has nothing on record and the guests have no card.
func (s *show) cloudRemove(ctx context.Context) (string, error) {
	if err := s.promises(ctx); err != nil {
		return "", err
	}
	begin := time.Now()
	group, gctx := errgroup.WithContext(ctx)
	for guest, names := range map[string][]string{"vm1": {"web", "db"}, "vm2": {"app"}} {
		group.Go(func() error {
			_, err := s.docker(guest)(gctx, append([]string{"rm", "-f"}, names...)...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	if err := s.lab.Reserve(ctx, false); err != nil {
		return "", err
	}
	if err := s.allReturned(ctx); err != nil {
		return "", err
	}
	took := time.Since(begin)
	for _, guest := range guests {
		taps, cards, err := s.tapsAndCards(ctx, guest)
		if err != nil || cards != 0 || taps != len(guests) {
			return "", errors.Join(err, fmt.Errorf("%s has %d cards of the cloud's, and there are %d taps, want 0 and %d", guest, cards, taps, len(guests)))
		}
	}
	if err := s.struck(ctx); err != nil {
		return "", err
	}
	s.Fact("docker rm → all interfaces are detached and deleted", seconds(took), "")
	return fmt.Sprintf("all interfaces are detached and deleted %s after docker rm began, and unplugged from both guests", seconds(took)), nil
}
