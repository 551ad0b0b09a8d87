package aws

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answerHead is how far into an answer its first element is looked for.
const answerHead = 1024

// onlyAnswers has nothing pass for an answer but one: the SDK takes an empty body,
// and a proxy's page with status 200, for success without anything in it, which
// of a listing reads as "there is nothing".
func onlyAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("OnlyAnswers", readsAsAnswer), middleware.After)
}

func readsAsAnswer(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	resp, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || resp.StatusCode < 200 || resp.StatusCode > 299 {
		return out, metadata, err
	}
	body := bufio.NewReaderSize(resp.Body, answerHead)
	head, _ := body.Peek(answerHead) // a fault of the body shows when it is read
	if want := "<" + middleware.GetOperationName(ctx) + "Response"; !bytes.Contains(head, []byte(want)) {
		return out, metadata, fmt.Errorf("HTTP %d with %s where an answer of EC2 was due; is the endpoint right, and no proxy before it?", resp.StatusCode, describe(head))
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	return out, metadata, nil
}

func describe(head []byte) string {
	switch {
	case len(bytes.TrimSpace(head)) == 0:
		return "nothing"
	case bytes.Contains(bytes.ToLower(head), []byte("<html")):
		return "a web page"
	}
	return "something else"
}
