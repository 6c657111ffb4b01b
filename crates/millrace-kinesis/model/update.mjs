/**
 * Makes `kinesis.json`, which the crate is compiled with, from the service model of a botocore release:
 *
 *     node crates/millrace-kinesis/model/update.mjs PATH/botocore/data/kinesis/2013-12-02/service-2.json.gz
 *
 * What is kept is what requests and answers are held to; the documentation, two thirds of the file, is not.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

const [source] = process.argv.slice(2)
if (source === undefined) throw new Error('expected the path of a service-2.json.gz')
const model = JSON.parse(gunzipSync(readFileSync(source)).toString('utf8'))

const shapeOf = ({ shape } = {}) => shape
const operations = Object.fromEntries(
  Object.entries(model.operations).map(([name, { input, output, errors = [] }]) => [
    name,
    { input: shapeOf(input), output: shapeOf(output), errors: errors.map(shapeOf) },
  ]),
)
const shapes = Object.fromEntries(
  Object.entries(model.shapes).map(([name, shape]) => {
    const { type, required, members, member, key, value, min, max, pattern, enum: values } = shape
    const kept = { type, required, min, max, pattern, enum: values }
    if (members !== undefined) {
      kept.members = Object.entries(members).map(([member, target]) => [member, target.shape])
    }
    return [name, { ...kept, member: shapeOf(member), key: shapeOf(key), value: shapeOf(value) }]
  }),
)

/** One entry a line, so that a change of the model reads as what it is. */
const lines = (entries) =>
  Object.entries(entries)
    .map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`)
    .join(',\n')

const text = `{"targetPrefix":${JSON.stringify(model.metadata.targetPrefix)},
"operations":{
${lines(operations)}
},
"shapes":{
${lines(shapes)}
}}
`
writeFileSync(join(import.meta.dirname, 'kinesis.json'), text)
console.log(`${Object.keys(operations).length} operations, ${Object.keys(shapes).length} shapes, ${text.length} bytes`)
