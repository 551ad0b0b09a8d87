package ecs

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/wire"
)

// refusalDocument is what the SDK reads of an error.
type refusalDocument struct {
	RequestID string `json:"RequestId"`
	HostID    string `json:"HostId"`
	Code      string `json:"Code"`
	Message   string `json:"Message"`
	Recommend string `json:"Recommend"`
	// Denied is there where RAM refuses.
	Denied *deniedDetail `json:"AccessDeniedDetail,omitempty"`
}

// requestID is drawn as ECS's are: a UUID in capitals.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := strings.ToUpper(hex.EncodeToString(b[:]))
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// reply sends the answer, as far as the wire lets it through.
func (f *Face) reply(w http.ResponseWriter, r *http.Request, action string, asked cloudsim.Wire, id string, got answer, err error) {
	header := w.Header()
	header.Set("Date", f.opts.Cloud.Clock().UTC().Format(http.TimeFormat))
	header.Set("Content-Type", "application/json;charset=utf-8")
	header.Set("X-Acs-Request-Id", id)
	status, document := http.StatusOK, any(got)
	if err != nil {
		no := refusalOf(action, err)
		status = no.Status
		document = refusalDocument{RequestID: id, HostID: r.Host, Code: no.Code, Message: no.Message, Denied: deniedBy(err)}
	} else {
		got.stamp(id)
	}
	body, err := json.Marshal(document)
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	wire.Send(w, asked, status, body)
}
