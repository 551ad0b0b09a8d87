package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A suite is a set of packages whose tests are run together.
type suite struct {
	Name  string
	About string
	// Packages are patterns as `go list` takes them; Except are those of them
	// that belong to another suite, with all below them.
	Packages []string
	Except   []string
	// Budget is what the suite may take on two cores once all is compiled. To
	// go over it is told, not failed; after three times as long a package is
	// stopped.
	Budget time.Duration
	// Minimum is how many tests must have run in CI, so that none is lost
	// unnoticed. Raise it as tests are added.
	Minimum int
	Race    bool
	// AtOnce is of how many packages the tests run beside each other: more than there are
	// processors where many wait for the clock. 0 is as many as there are processors.
	AtOnce int
	// Parallel is the same for the tests of one package that say t.Parallel.
	Parallel int
	// Only are the tests of the packages that are the suite's, and Not those that
	// are another's; none named is all, and none.
	Only, Not []string
	// LongOnly are tests that only the long run has: they take more than the
	// budget has room for.
	LongOnly []string
	// OnRequest keeps the suite out of a run of all that is not a long one: it
	// runs when it is named.
	OnRequest bool
}

// table is the suites, in the order in which they run: what fails soonest is first.
func table() []suite {
	return slices.Concat([]suite{
		{
			Name:     "build",
			About:    "every program builds, the agent is static and small, the linters and the arrows are clean",
			Packages: []string{"./internal/archtest/...", "./internal/buildtest/..."},
			Budget:   12 * time.Minute,
			Minimum:  72,
		},
		{
			Name:     "base",
			About:    "every package's own tests, with the race detector; not those of what the SDKs of clouds are linked to",
			Packages: []string{"./..."},
			Except:   []string{"cmd/nicferryd", "internal/lab", "internal/bench", "provider/libvirt", "internal/archtest", "internal/buildtest", "internal/invariant", "internal/proof", "internal/authority", "internal/identity", "internal/cloudsim", "internal/metadata", "internal/store/etcdstore", "provider/aws", "provider/aliyun", "e2e"},
			Budget:   2 * time.Minute,
			Minimum:  2890,
			Race:     true,
			AtOnce:   3,
			LongOnly: lives(),
		},
		{
			Name:     "lives",
			About:    "lives of the controller, killed at each step, refused at each, its power cut at each; in a long run the race detector watches them too, in suites base and alloc",
			Packages: []string{"./internal/proof", "./allocator"},
			Only:     lives(),
			Budget:   time.Minute,
			Minimum:  650,
		},
		{
			Name:     "lab",
			About:    "what the tests, the demo and the benches stand on: labs with engines, guests of an emulated machine, with the race detector",
			Packages: []string{"./internal/lab/...", "./internal/bench/..."},
			Except:   []string{"internal/lab/sim", "internal/lab/soak"},
			Budget:   2 * time.Minute,
			Minimum:  126,
			Race:     true,
		},
		{
			Name:     "alloc",
			About:    "each call failed, libvirt's too, raced, and held against models",
			Packages: []string{"./internal/invariant", "./internal/proof", "./provider/libvirt"},
			Budget:   4 * time.Minute,
			Minimum:  960,
			Race:     true,
			LongOnly: lives(),
		},
		{
			Name:     "trust",
			About:    "who may do what between machines: tokens, certificates, tenants, what is told of it, and Debian packages",
			Packages: []string{"./internal/authority/...", "./internal/identity/...", "./e2e/trust/...", "./e2e/packages"},
			Budget:   3 * time.Minute,
			Minimum:  54,
		},
	}, onClouds(), onEngines(), ofFleets(), onVMs())
}

// lives are the tests that live one life after the other, each of them harmed at another
// step. One goroutine does nearly all of it, and the race detector takes five times as long.
func lives() []string {
	return []string{
		"TestF50_ACrashAtEachStepOfAPromotion", "TestF50_SeatsOfAControllerThatDies", "TestF50_AMoveByAddressOfAControllerThatDies",
		"TestF50_SharedPoolsSurviveCrashes", "TestAMoveByAddressThatIsRefusedTurnsBack", "TestAMoveByAddress", "TestAMoveWanders",
		"TestF03_AnAddressOfASeatThatEndsOnItsWayIsFoundAgain", "TestTheLastSeatLeavesAndANewOneComes", "TestSeatsOfMany",
		"TestP1_ASeizedNodeKeepsAnAddressThatMoves", "TestStraysAreBounded",
		"TestF50_CrashMatrix", "TestAnyLifeHolds", "TestP7_APowerCutLosesNoClaim", "TestP7_AFailedSyncLosesNoClaim", "TestACarelessDiskIsCaught",
	}
}

// onClouds are the suites of clouds in memory.
func onClouds() []suite {
	return []suite{
		{
			Name:  "aws",
			About: "the provider for AWS through the SDK, the cloud in memory that stands in for EC2, driven by others' clients and by the programs on real Docker engines, and nicferryd's own tests, which the SDKs are linked to",
			// What takes longest begins first.
			Packages: []string{"./e2e/aws", "./provider/aws/...", "./e2e/cloud", "./cmd/nicferryd", "./internal/cloudsim/...", "./internal/metadata/..."},
			Except:   []string{"internal/cloudsim/ecs"},
			Budget:   3 * time.Minute,
			Minimum:  1180,
			AtOnce:   3, // engines and others' clients are waited for
		},
		{
			Name:     "aliyun",
			About:    "the provider for Alibaba Cloud through the SDK, and the door of the cloud in memory that speaks as ECS and VPC do, also under the programs on real Docker engines",
			Packages: []string{"./internal/cloudsim/ecs/...", "./provider/aliyun/...", "./e2e/aliyun"},
			Budget:   2 * time.Minute,
			Minimum:  780,
		},
	}
}

// onEngines are those of whole programs on real Docker engines.
func onEngines() []suite {
	return []suite{
		{
			Name:     "agent",
			About:    "the programs on a real Docker engine, and the demo, which must see a planted leak",
			Packages: []string{"./e2e/..."},
			Except:   []string{"e2e/vm", "e2e/trust", "e2e/packages", "e2e/migrate", "e2e/cloud", "e2e/aws", "e2e/aliyun", "e2e/sriov", "e2e/fleet"},
			Budget:   5 * time.Minute,
			Minimum:  50,
		},
		{
			Name:  "migrate",
			About: "containers that move between two engines, failed and killed at each step, under the eyes of a peer",
			// Of the moves in virtual time suite base plays a few, with the race detector.
			Packages: []string{"./migrate/...", "./e2e/migrate/..."},
			Budget:   12 * time.Minute,
			Minimum:  785,
		},
	}
}

// ofFleets are the suites of controllers for many nodes.
func ofFleets() []suite {
	return []suite{
		{
			Name:  "fleet",
			About: "the controller's store on etcd, as Debian has it and the current one: members lost, frozen and cut off; controllers killed and frozen while containers start on real Docker engines; and fleets in virtual time: what a container costs, and that nothing is left of it; and a minute of harm to the programs on a real Docker engine",
			// What takes longest begins first; it waits for most of its time.
			Packages: []string{"./internal/lab/soak", "./e2e/fleet", "./internal/store/etcdstore/...", "./internal/lab/sim"},
			Budget:   2 * time.Minute,
			Minimum:  70,
			AtOnce:   3,
			Not:      []string{"TestTenThousandNodes"},
		},
		{
			Name:      "sim",
			About:     "what a claim costs in a fleet of 10,000 nodes and in one of 100, in virtual time, and that nothing is left; of small fleets but in a long run, where it takes hours and more than 10 GiB",
			Packages:  []string{"./internal/lab/sim"},
			Only:      []string{"TestTenThousandNodes"},
			Budget:    4 * time.Hour,
			Minimum:   1,
			OnRequest: true,
		},
	}
}

// onVMs are the suites that boot virtual machines.
func onVMs() []suite {
	return []suite{
		{
			Name:     "vm",
			About:    "NICs hot-plugged into real virtual machines, whatever libvirt, the guests or people do meanwhile",
			Packages: []string{"./e2e/vm"},
			Budget:   13 * time.Minute,
			Minimum:  80,
			Not:      harmed(),
			// Not among all before it was well ten times in a row; see README.
			OnRequest: true,
			LongOnly: []string{
				"TestDemoOnVirtualMachines", "TestDemoOnVirtualMachinesInterrupted", // as `make demo` shows
				"TestDemoAWS", "TestDemoAliyun", "TestS1Checklist", // as `make demo-aws`, `demo-aliyun` and `s1` do
				"TestLibvirtLabByHand", "TestPorts", "TestConformanceNative", "TestSixtyFourNICs",
				"TestF28_LibvirtdKilledUnderTheController", "TestRebootWithContainers", "TestAuditAfterVirsh",
				"TestPackagesInAGuest",
			},
		},
		{
			Name:      "harm",
			About:     "a container that moves from one virtual machine to another, harmed once at a step; in a long run at each, in each way",
			Packages:  []string{"./e2e/vm"},
			Only:      harmed(),
			Budget:    5 * time.Minute,
			Minimum:   6,
			OnRequest: true, // as vm
		},
		{
			Name:     "sriov",
			About:    "virtual functions of cards that a virtual machine has, with the kernel's own drivers, and containers on them",
			Packages: []string{"./e2e/sriov"},
			Budget:   5 * time.Minute,
			Minimum:  17,
			Parallel: 3, // guests, of one processor each
			// As `make demo-sriov` and `make s0` do, and what they show too.
			LongOnly:  []string{"TestDemoSRIOV", "TestS0Checklist", "TestARealCardGetsItsVFs", "TestADPDKProgramDrivesAVirtioCard"},
			OnRequest: true, // as vm
		},
	}
}

// harmed are the tests that do harm to a move in each way at each step: by
// themselves they take longer than all others of their package.
func harmed() []string {
	return []string{"TestF64_MovesAreHarmed", "TestF18_TheSourceIsDestroyedInAMove"}
}

// choose returns the suites with the names, in the table's order. Without names
// it is all of them, but those on request only in a long run.
func choose(table []suite, names []string, long bool) ([]suite, error) {
	if len(names) == 0 {
		return slices.DeleteFunc(table, func(s suite) bool { return s.OnRequest && !long }), nil
	}
	var chosen []suite
	known := make([]string, 0, len(table))
	for _, s := range table {
		known = append(known, s.Name)
		if slices.Contains(names, s.Name) {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no suite %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// within tells if a package, as a path below the module, is one of the folders
// or below one.
func within(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return path == folder || strings.HasPrefix(path, folder+"/")
	})
}
