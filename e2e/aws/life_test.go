//go:build linux

package aws

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// admin is a caller who may do all: the tests' own hands.
const admin = "admin"

// shipped has the controller do what the policies that we ship with these names
// allow, as their README says, and no more.
func (r *rig) shipped(account *iam.Account, key, provider string, names ...string) {
	r.t.Helper()
	id := regexp.MustCompile(`provider of AWS opened.*provider\W+` + provider + `\b.*cluster\W+([a-z0-9]+)`).FindStringSubmatch(r.Log())
	if id == nil {
		r.t.Fatalf("the controller does not log its cluster's id at %s:\n%s", provider, r.Log())
	}
	words := strings.NewReplacer("REGION", account.Region, "ACCOUNT", account.ID, "CLUSTER", id[1], "vpc/VPC", "vpc/"+r.about.VPC)
	var policies []iam.Document
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("../../examples/aws/iam", name+".json"))
		r.do(err)
		p, err := iam.Parse([]byte(words.Replace(string(text))))
		r.do(err)
		policies = append(policies, p)
	}
	account.Attach(key, "role/nicferryd", policies...)
	for _, i := range r.about.Instances {
		r.do(r.site.Cloud.CreateTags(r.t.Context(), cloudsim.Call{Caller: admin}, []string{i.ID}, cloudsim.Tags{tagCluster: id[1]}))
	}
}

// everything lets a caller do all.
func (r *rig) everything(account *iam.Account, keys ...string) {
	r.t.Helper()
	all, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	r.do(err)
	for _, key := range keys {
		account.Attach(key, "role/"+key, all)
	}
}

// A container gets an interface of the cloud's own for its eth0, by four calls that
// change something at most, under the policies that we ship; and by none where one is
// in reserve: not even if the cloud takes no calls. Afterwards nothing is left there.
func TestS3_AColdStartAndAWarmOne(t *testing.T) {
	t.Parallel()
	account := &iam.Account{Region: "eu-central-1", ID: "111122223333"}
	r := start(t, options{
		kind: "m5.xlarge", cloud: cloudsim.Options{Policy: account},
		networks: func(r *rig) string { return r.network("warm", "cloud", "pool: {min: 1, max: 1}") },
		allow: func(r *rig) {
			r.everything(account, admin)
			r.shipped(account, r.about.AccessKey, "cloud", "read-only", "dynamic-eni")
		},
	})
	vm1 := r.Agents[0]
	spare := r.awaitSpare()
	mark := r.mark()
	r.run(vm1, "cold", "vpc")
	eni := r.cardIs(vm1, "cold")
	did := r.effects(mark)
	changing, reading := 0, 0
	for _, n := range did {
		changing += n
	}
	for _, e := range r.site.Cloud.Log(mark) {
		if strings.HasPrefix(e.API, "Describe") {
			reading++
		}
	}
	t.Logf("a cold start: %d calls that change something, %v, and %d that read", changing, did, reading)
	if changing > 4 || did["CreateNetworkInterface"] != 1 || did["AttachNetworkInterface"] != 1 || reading > 20 {
		t.Errorf("want 4 and 20 at most:\n%s", r.cloudLog(mark))
	}
	r.remove(vm1, "cold", eni)
	if did := r.effects(mark); did["CreateNetworkInterface"] != 1 || did["DetachNetworkInterface"] != 1 || did["DeleteNetworkInterface"] != 1 {
		t.Errorf("one life was %v:\n%s", did, r.cloudLog(mark))
	}

	names := r.inject(cloudsim.Fault{Verb: cloudsim.Throttle, Count: -1})
	mark = r.mark()
	r.run(vm1, "warm", "warm")
	if eni := r.cardIs(vm1, "warm"); eni.Tags[tagNIC] != string(spare) {
		t.Errorf("it has not got the spare %s: %+v", spare, eni)
	}
	if did := r.effects(mark); len(did) > 0 {
		t.Errorf("a warm start: %v", did)
	}
	r.site.Cloud.Clear(names...)
	if next := r.awaitSpare(); next == spare {
		t.Errorf("%s is in reserve, and given away", next)
	}
	r.made(mark, 1)

	// A clock that is wrong by more than EC2 takes: the SDK learns the time from it.
	r.inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: nic.Duration(20 * time.Minute)})
	r.run(vm1, "skewed", "vpc")
	r.remove(vm1, "skewed", r.cardIs(vm1, "skewed"))
}

// awaitSpare waits until one NIC is in reserve.
func (r *rig) awaitSpare() (id nic.ID) {
	r.t.Helper()
	r.await("a NIC to be in reserve", func() bool {
		all, err := r.nics(r.t.Context())
		r.do(err)
		for _, n := range all {
			if n.Phase == nic.PhaseSpare {
				id = n.ID
				return true
			}
		}
		return false
	})
	return id
}

// await asks until it is so.
func (r *rig) await(what string, so func() bool) {
	r.t.Helper()
	r.do(fleet.Until(r.t.Context(), what, func() error {
		if !so() {
			return errNotYet
		}
		return nil
	}))
}
