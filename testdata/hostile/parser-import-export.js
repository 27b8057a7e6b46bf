// class: parser
// expect: 500
import x from "fs"; export default x;
