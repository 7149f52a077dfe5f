// Puts a border of constant pixels around every frame. Words pass in the same cycle; border words need no input.
`default_nettype none
/* verilator lint_off UNSIGNED */ // a border of no pixels makes comparisons with 0
/* verilator lint_off CMPCONST */
module edgec_stream_pad #(
  parameter WIDTH = 8,
  parameter GROUPS = 1,     // words of a pixel
  parameter IN_HEIGHT = 1,
  parameter IN_WIDTH = 1,
  parameter TOP = 1,
  parameter LEFT = 1,
  parameter BOTTOM = 1,
  parameter RIGHT = 1,
  parameter [WIDTH-1:0] VALUE = {WIDTH{1'b0}},
  parameter BITS = 8        // of the counters
) (
  input  wire clk,
  input  wire rst,
  input  wire in_valid,
  output wire in_ready,
  input  wire [WIDTH-1:0] in_data,
  output wire out_valid,
  input  wire out_ready,
  output wire [WIDTH-1:0] out_data
);
  localparam [31:0] FIRST_ROW = TOP, END_ROW = TOP + IN_HEIGHT, FIRST_COLUMN = LEFT, END_COLUMN = LEFT + IN_WIDTH;
  wire [BITS-1:0] group, column, row;
  wire last_group, last_column, last_row;
  wire step = out_valid && out_ready;
  edgec_count #(.N(GROUPS), .BITS(BITS)) groups
    (.clk(clk), .rst(rst), .step(step), .count(group), .last(last_group));
  edgec_count #(.N(LEFT + IN_WIDTH + RIGHT), .BITS(BITS)) columns
    (.clk(clk), .rst(rst), .step(step && last_group), .count(column), .last(last_column));
  edgec_count #(.N(TOP + IN_HEIGHT + BOTTOM), .BITS(BITS)) rows
    (.clk(clk), .rst(rst), .step(step && last_group && last_column), .count(row), .last(last_row));
  wire inner = row >= FIRST_ROW[BITS-1:0] && row < END_ROW[BITS-1:0]
    && column >= FIRST_COLUMN[BITS-1:0] && column < END_COLUMN[BITS-1:0];
  wire unused = &{1'b0, group, last_row};
  assign out_valid = in_valid || !inner;
  assign out_data = inner ? in_data : VALUE;
  assign in_ready = inner && out_ready;
endmodule
/* verilator lint_on UNSIGNED */
/* verilator lint_on CMPCONST */
`default_nettype wire
