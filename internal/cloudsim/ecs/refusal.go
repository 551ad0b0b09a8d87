package ecs

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
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

// refusals are the table's rows by key: the cloud's own keys, and those of the wire.
var refusals = sync.OnceValue(func() map[string]row {
	all := map[string]row{}
	for line := range strings.Lines(refusalText) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		status, err := strconv.Atoi(f[2])
		if err != nil || len(f) != 5 || all[f[0]].code != "" {
			panic("refusals.tsv: " + line)
		}
		all[f[0]] = row{code: f[1], status: status, message: f[3]}
	}
	return all
})

// refuse looks a refusal up; args are what its message names.
func refuse(why reason, args ...any) *refusal {
	r := refusals()[string(why)]
	message := r.message
	if len(args) > 0 {
		message = fmt.Sprintf(message, args...)
	}
	return &refusal{Code: r.code, Message: message, Status: r.status}
}

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

// refusalOf says in ECS's words what the cloud said in EC2's. What a fault says stands
// as it is.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	said, ok := errors.AsType[*cloudsim.Error](err)
	if !ok {
		return &refusal{"InternalError", err.Error(), http.StatusInternalServerError}
	}
	r, known := refusals()[said.Key]
	if !known {
		return &refusal{said.Code, said.Message, said.Status}
	}
	message := r.message
	if strings.Contains(message, "%s") { // the cloud's own words say more
		message = fmt.Sprintf(message, said.Message)
	}
	return &refusal{r.code, message, r.status}
}
