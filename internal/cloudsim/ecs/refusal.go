package ecs

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

// A reason is why the face refuses a request before the cloud sees it.
type reason string

const (
	incomplete    reason = "wire.incomplete"
	otherMethod   reason = "wire.method"
	badTime       reason = "wire.time"
	oldTime       reason = "wire.expired"
	unknownKey    reason = "wire.key"
	badToken      reason = "wire.token"
	expiredToken  reason = "wire.token.expired"
	badSignature  reason = "wire.signature"
	usedNonce     reason = "wire.nonce"
	unknownAction reason = "wire.action"
	otherVersion  reason = "wire.version"
	notReadable   reason = "wire.unreadable"
	missing       reason = "wire.missing"
	unknown       reason = "wire.unknown"
	twice         reason = "wire.twice"
	badValue      reason = "wire.value"
	tagTwice      reason = "wire.tag.twice"
	badTag        reason = "wire.tag.key"
	noGroup       reason = "wire.resourcegroup"
	badFilter     reason = "wire.filter"
	badTarget     reason = "wire.instancetype"
	explicitDeny  reason = "denied.explicit" // by a statement of a policy
)

// A refusal is an answer that says no, in ECS's words.
type refusal struct {
	Code, Message string
	Status        int
}

// Error reads "InvalidEniId.NotFound: The specified EniId does not exist".
func (r *refusal) Error() string { return r.Code + ": " + r.Message }

//go:embed refusals.tsv
var refusalText string

// A row is one of the table's.
type row struct {
	code    string
	status  int
	message string // a format where there is something to name
}

// A table is the refusals by key, and the first of each code.
type table struct {
	byKey, byCode map[string]row
	keys          []string
}

// refusals parses the table once. Its keys are the cloud's own, and those of the wire;
// one with an action and a slash in front is for that alone, and one with "fault." is
// for what only a fault can bring.
var refusals = sync.OnceValue(func() table {
	all := table{byKey: map[string]row{}, byCode: map[string]row{}}
	for line := range strings.Lines(refusalText) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			panic("refusals.tsv: " + line)
		}
		status, err := strconv.Atoi(f[2])
		if _, there := all.byKey[f[0]]; there || err != nil {
			panic("refusals.tsv: " + line)
		}
		r := row{code: f[1], status: status, message: f[3]}
		all.byKey[f[0]] = r
		all.keys = append(all.keys, f[0])
		if _, there := all.byCode[r.code]; !there {
			all.byCode[r.code] = r
		}
	}
	return all
})

// say fills the row's message in.
func (r row) say(args ...any) *refusal {
	message := r.message
	if strings.Contains(message, "%s") {
		message = fmt.Sprintf(message, args...)
	}
	return &refusal{Code: r.code, Message: message, Status: r.status}
}

// refuse looks a refusal up; args are what its message names.
func refuse(why reason, args ...any) *refusal { return refusals().byKey[string(why)].say(args...) }

// unreadable refuses a request of which a parameter cannot be read.
func unreadable(f *query.Fault) *refusal {
	switch f.Why {
	case query.Missing:
		return refuse(missing, f.Name)
	case query.Twice:
		return refuse(twice, f.Name)
	case query.BadValue:
		return refuse(badValue, f.Name)
	default:
		return refuse(notReadable, f.Name)
	}
}

// refusalOf says in ECS's words what the cloud said in EC2's.
func refusalOf(action string, err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	said, ok := errors.AsType[*cloudsim.Error](err)
	if !ok {
		return &refusal{"InternalError", err.Error(), http.StatusInternalServerError}
	}
	if why, ok := errors.AsType[*iam.Refusal](err); ok && why.Denied {
		return refuse(explicitDeny)
	}
	known := refusals()
	r, ok := known.byKey[action+"/"+said.Key]
	if !ok {
		r, ok = known.byKey[said.Key]
	}
	if !ok {
		r, ok = known.byCode[said.Code]
	}
	if !ok {
		return &refusal{said.Code, said.Message, said.Status}
	}
	no := r.say(cmp.Or(said.Message, "a fault says so")) // the cloud's own words say more
	if f := said.Said; f != nil {
		no.Status, no.Message = cmp.Or(f.Status, no.Status), cmp.Or(f.Message, no.Message)
	}
	return no
}
