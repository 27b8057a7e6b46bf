package check

import (
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"

	"example.com/callback/internal/cloudcode"
)

// A class is what is known about the class of a value.
type class struct {
	name string // the name of the class; empty if the value may be anything
	from string // the member that returned the value, which the host may have to supply
}

// nothing is the class of null and of unassigned variables.
var nothing = class{name: "null"}

// either is the class of a value that has one of two classes.
func either(a, b class) class {
	switch {
	case a == nothing:
		return b
	case b == nothing || a.name == b.name:
		return a
	}
	return class{}
}

// maxSteps bounds the expressions that one call of classOf looks at. A script can
// assign any number of values to any number of variables.
const maxSteps = 1000

// classOf is the class of an expression, if it is plain: Spark, results of its
// members, and variables that hold nothing else.
func (c *checker) classOf(e ast.Expression, sc *scope) class {
	l := look{checker: c, steps: maxSteps}
	result := l.at(e, sc)
	if result == nothing || l.steps < 0 {
		return class{}
	}
	return result
}

// A look is one call of classOf.
type look struct {
	*checker
	steps int // remaining
}

func (l *look) at(e ast.Expression, sc *scope) class {
	if l.steps--; l.steps < 0 {
		return class{}
	}
	of := func(e ast.Expression) class { return l.at(e, sc) }
	switch n := e.(type) {
	case *ast.NullLiteral:
		return nothing
	case *ast.Identifier:
		return l.atName(n.Name.String(), sc)
	case *ast.AssignExpression:
		if n.Operator == token.ASSIGN {
			return of(n.Right)
		}
	case *ast.ConditionalExpression:
		return either(of(n.Consequent), of(n.Alternate))
	case *ast.SequenceExpression:
		return of(n.Sequence[len(n.Sequence)-1])
	case *ast.BinaryExpression:
		switch n.Operator {
		case token.LOGICAL_OR, token.COALESCE:
			return either(of(n.Left), of(n.Right))
		}
	case *ast.NewExpression:
		if object, name, _ := memberOf(n.Callee); object != nil && of(object).name == requests && isRequest(name) {
			return class{name: requests + "." + name}
		}
	case *ast.DotExpression:
		if n.Identifier.Name == "player" && of(n.Left).name == "Spark" && !l.supplied["player"] {
			return class{name: "SparkPlayer"}
		}
	case *ast.CallExpression:
		object, name, _ := memberOf(n.Callee)
		if object == nil || name == "" {
			return class{}
		}
		on := of(object)
		if on.name == "Spark" && l.supplied[name] {
			return class{}
		}
		result := class{name: resultOf(on.name, name), from: on.from}
		switch {
		case slices.Contains(l.carried(on.name), name):
		case !cloudcode.Has(on.name, name):
			return class{}
		case result.from == "":
			result.from = on.name + "." + name
		}
		return result
	}
	return class{}
}

func (l *look) atName(name string, sc *scope) class {
	if name == "undefined" {
		return nothing
	}
	if v := sc.local(name); v != nil {
		return l.atVariable(v)
	}
	if name == "Spark" && !l.declared["Spark"] {
		return class{name: "Spark"}
	}
	if name == requests && !l.declared[requests] {
		return class{name: requests}
	}
	// A global name: it has what this script, and those that it requires, assign
	// to it.
	result := nothing
	for _, s := range sc.top().script.withRequired() {
		if v := s.top.variables[name]; v != nil && result.name != "" {
			result = either(result, l.atVariable(v))
		}
	}
	return result
}

func (l *look) atVariable(v *variable) class {
	if v.opaque {
		return class{}
	}
	if v.looking { // it is assigned to itself
		return nothing
	}
	v.looking = true
	defer func() { v.looking = false }()
	result := nothing
	for _, w := range v.writes {
		if result = either(result, l.at(w.value, w.in)); result.name == "" {
			break
		}
	}
	if l.steps < 0 {
		v.opaque = true // a second look would get no further
	}
	return result
}

// requests has the constructors of requests. The class of what one makes is
// requests, a dot and the constructor's name.
const requests = "SparkRequests"

func isRequest(name string) bool { return strings.HasSuffix(name, "Request") }

// sender is the member of Spark that a method of a request calls; empty if it is
// none of those that send.
func sender(method string) string {
	switch method {
	case "Send", "Execute":
		return "sendRequest"
	case "SendAs", "ExecuteAs":
		return "sendRequestAs"
	}
	return ""
}

// carried lists the members of a class that the library has.
func (c *checker) carried(class string) []string {
	if c.Carried == nil {
		return nil
	}
	return c.Carried(class)
}

// resultOf is the class of what a member returns, or empty.
func resultOf(class, member string) string {
	switch class + "." + member {
	case "Spark.getPlayer", "Spark.loadPlayer", "Spark.loadPlayerByExternalId":
		return "SparkPlayer"
	case "Spark.getHttp", "SparkHttp.setHeaders", "SparkHttp.setBasicAuth":
		return "SparkHttp"
	case "Spark.getLog":
		return "SparkLog"
	case "Spark.getDigester":
		return "SparkDigest"
	case "Spark.runtimeCollection":
		return "SparkMongoCollectionReadWrite"
	case "Spark.metaCollection", "Spark.systemCollection":
		return "SparkMongoCollectionReadOnly"
	case "SparkMongoCollectionReadWrite.find", "SparkMongoCollectionReadOnly.find",
		"SparkMongoCursor.sort", "SparkMongoCursor.skip", "SparkMongoCursor.limit":
		return "SparkMongoCursor"
	case "Spark.getRedis":
		return "SparkRedis"
	case "Spark.getCache":
		return "SparkCache"
	case "Spark.getGameDataService":
		return "SparkGameDataService"
	case "SparkGameDataService.createItem", "SparkDataGetResult.document", "SparkDataCursor.next":
		return "SparkDataItem"
	case "SparkGameDataService.getItem":
		return "SparkDataGetResult"
	case "SparkGameDataService.queryItems":
		return "SparkDataQueryResult"
	case "SparkDataQueryResult.cursor":
		return "SparkDataCursor"
	case "SparkDataItem.persistor":
		return "SparkDataItemPersistor"
	case "Spark.getLeaderboards":
		return "SparkLeaderboards"
	case "SparkLeaderboards.getLeaderboard":
		return "SparkLeaderboard"
	case "SparkLeaderboard.getEntries", "SparkLeaderboard.getEntriesFromPlayer":
		return "SparkLeaderboardCursor"
	case "SparkLeaderboardCursor.next":
		return "SparkLeaderboardEntry"
	case "Spark.getChallenge":
		return "SparkChallenge"
	case "Spark.getTeams":
		return "SparkTeams"
	case "SparkTeams.getTeam":
		return "SparkTeam"
	case "Spark.getMultiplayer":
		return "SparkMultiplayer"
	case "SparkMultiplayer.loadMatch", "SparkMultiplayer.createMatch":
		return "SparkMatch"
	case "Spark.getScheduler":
		return "SparkScheduler"
	case "Spark.getBulkScheduler":
		return "SparkBulkScheduler"
	case "Spark.getConfig":
		return "SparkConfig"
	case "Spark.getProperties":
		return "SparkProperties"
	case "Spark.getFiles":
		return "SparkFiles"
	case "Spark.message":
		return "SparkMessage"
	case "Spark.sendGrid":
		return "SendGrid"
	}
	if class == "SparkHttp" {
		return "SparkHttpResponse" // all other members of SparkHttp send a request
	}
	return ""
}
